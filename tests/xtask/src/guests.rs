//! `cargo xtask guests`: every component that tests, demo and bench publish.

mod freshness;
mod go;
mod javascript;
mod python;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::{cargo, program, run as run_command, step};
use crate::{requirements, workspace};

const COMPONENT: &str = "wasm32-wasip2";
/// Core modules of WASI 0.1: the server turns them into components, and a test proves it.
const CORE: &str = "wasm32-wasip1";
/// The guest with the SDK over WASI 0.3: built by itself, or the other would be of 0.3 too.
const P3_GUEST: &str = "sdk-p3";
/// The guest that is built as a core module too.
const CORE_GUEST: &str = "hello-core";
/// A project of Spin's, a workspace of its own as `spin new` makes it.
const SPIN_PROJECT: &str = "spin-project";

type Build = fn() -> Result<()>;

/// Who builds the examples in other languages than Rust.
pub const OTHERS: &[(&str, Build)] =
    &[("JavaScript", javascript::build), ("Python", python::build), ("Go", go::build)];

pub fn run_all() -> Result<()> {
    examples()?;
    hostile()?;
    OTHERS.iter().try_for_each(|(_, build)| build())
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

/// Whether an example in another language is built from what is there now.
pub fn is_built(example: &Path) -> bool {
    freshness::is_current(example).unwrap_or(false)
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
    if folder.join(P3_GUEST).is_dir() {
        cargo_build(&folder, COMPONENT, &["--package", P3_GUEST])?;
    }
    if folder.join(CORE_GUEST).is_dir() {
        requirements::target(CORE)?;
        step("building the core module");
        cargo_build(&folder, CORE, &["--package", CORE_GUEST])?;
    }
    let spin = folder.join(SPIN_PROJECT);
    if spin.is_dir() {
        step("building the Spin project");
        cargo_build(&spin, COMPONENT, &[])?;
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

/// The examples with a file of this name in their folder.
fn examples_with(file: &str) -> Result<Vec<PathBuf>> {
    let examples = workspace::root().join("examples");
    let mut found = Vec::new();
    for entry in fs::read_dir(&examples).with_context(|| format!("cannot list {}", examples.display()))? {
        let folder = entry?.path();
        if folder.join(file).is_file() {
            found.push(folder);
        }
    }
    found.sort();
    Ok(found)
}

fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Runs what `typecase build` would run there.
fn run_manifest_command(folder: &Path, path: &OsStr) -> Result<()> {
    let manifest = folder.join("typecase.toml");
    let text =
        fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let command = build_command(&text)
        .with_context(|| format!("{} has no `command = \"...\"` on one line", manifest.display()))?;
    run_command(program("sh", folder).args(["-c", &command]).env("PATH", path))
}

/// The build command, which our own examples keep on one line.
fn build_command(manifest: &str) -> Option<String> {
    let line = manifest.lines().find_map(|line| line.strip_prefix("command = "))?;
    let text = line.trim().strip_prefix('"')?.strip_suffix('"')?;
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}
