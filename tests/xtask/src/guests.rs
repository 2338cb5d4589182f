//! `cargo xtask guests`: every component that tests, demo and bench publish.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, output, program, run as run_command, step};
use crate::{requirements, workspace};

const COMPONENT: &str = "wasm32-wasip2";
/// Core modules of WASI 0.1: the server turns them into components, and a test proves it.
const CORE: &str = "wasm32-wasip1";
/// The guest that is built as a core module too.
const CORE_GUEST: &str = "hello-core";
/// The oldest Node.js that componentize-js works with; Debian 12 has an older one.
const NODE_MAJOR: u32 = 20;

pub fn run_all() -> Result<()> {
    examples()?;
    hostile()?;
    javascript()
}

pub fn run(arguments: &[String]) -> Result<()> {
    if let Some(unknown) = arguments.first() {
        bail!("`cargo xtask guests` takes no `{unknown}`");
    }
    run_all()?;
    step("guests and examples are built");
    Ok(())
}

/// The examples in Rust.
pub fn examples() -> Result<()> {
    requirements::target(COMPONENT)?;
    step("building the examples");
    cargo_build(&workspace::root().join("examples"), COMPONENT, &[])
}

/// The guests of the tests.
fn hostile() -> Result<()> {
    let folder = workspace::root().join("tests/guests");
    if !folder.join("Cargo.toml").is_file() {
        return Ok(());
    }
    requirements::target(COMPONENT)?;
    step("building the tests' guests");
    cargo_build(&folder, COMPONENT, &[])?;
    if folder.join(CORE_GUEST).is_dir() {
        requirements::target(CORE)?;
        step("building the core module");
        cargo_build(&folder, CORE, &["--package", CORE_GUEST])?;
    }
    Ok(())
}

/// The examples in JavaScript: npm's packages, then the example's own build script.
pub fn javascript() -> Result<()> {
    for folder in javascript_examples()? {
        if is_current(&folder)? {
            continue;
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        requirements::programs(&[requirements::NODE, requirements::NPM])?;
        if needs_packages(&folder) {
            step(&format!("fetching npm packages of examples/{name}"));
            let command = if folder.join("package-lock.json").is_file() { "ci" } else { "install" };
            run_npm(&folder, &[command, "--no-audit", "--no-fund"])
                .context("npm could not fetch the packages: is the network there?")?;
        }
        step(&format!("building examples/{name} (an engine is embedded; this takes some seconds)"));
        if node_is_recent() {
            run_npm(&folder, &["run", "--silent", "build"])?;
        } else {
            step(&format!("the Node.js here is too old for it: npm fetches version {NODE_MAJOR}"));
            let package = format!("--package=node@{NODE_MAJOR}");
            run_npm(&folder, &["exec", "--yes", &package, "--", "npm", "run", "--silent", "build"])?;
        }
    }
    Ok(())
}

/// A guest workspace keeps its output beside itself, whatever the host's target folder is: manifests name it.
fn cargo_build(folder: &Path, target: &str, more: &[&str]) -> Result<()> {
    let mut command = cargo(folder);
    command.args(["build", "--release", "--target", target, "--target-dir", "target"]).args(more);
    if folder.join("Cargo.lock").is_file() {
        command.arg("--locked");
    }
    run_command(&mut command)
}

fn run_npm(folder: &Path, arguments: &[&str]) -> Result<()> {
    run_command(program("npm", folder).args(arguments))
}

fn javascript_examples() -> Result<Vec<PathBuf>> {
    let examples = workspace::root().join("examples");
    let mut found = Vec::new();
    for entry in fs::read_dir(&examples).with_context(|| format!("cannot list {}", examples.display()))? {
        let folder = entry?.path();
        if folder.join("package.json").is_file() {
            found.push(folder);
        }
    }
    found.sort();
    Ok(found)
}

fn node_is_recent() -> bool {
    let version = output(program("node", &workspace::root()).arg("--version")).unwrap_or_default();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major >= NODE_MAJOR)
}

/// Whether there is a component, and nothing beside it is newer.
fn is_current(folder: &Path) -> Result<bool> {
    let mut built: Option<SystemTime> = None;
    let mut changed = SystemTime::UNIX_EPOCH;
    let mut left = vec![folder.to_path_buf()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                if !path.ends_with("node_modules") {
                    left.push(path);
                }
                continue;
            }
            let modified = fs::metadata(&path)?.modified()?;
            if path.extension().is_some_and(|extension| extension == "wasm") {
                built = Some(modified);
            } else {
                changed = changed.max(modified);
            }
        }
    }
    Ok(built.is_some_and(|built| built >= changed))
}

/// npm leaves a copy of the lock file where it installed: an older one means other packages.
fn needs_packages(folder: &Path) -> bool {
    let changed = |path: &str| fs::metadata(folder.join(path)).and_then(|meta| meta.modified()).ok();
    match (changed("package-lock.json"), changed("node_modules/.package-lock.json")) {
        (Some(wanted), Some(installed)) => installed < wanted,
        (None, Some(_)) => false,
        (_, None) => true,
    }
}
