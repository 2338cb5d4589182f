//! The examples in JavaScript and TypeScript: npm's packages, then the example's own build script.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::freshness::is_current;
use crate::command::{output, program, run as run_command, step};
use crate::{requirements, workspace};

/// The oldest Node.js that componentize-js works with; Debian 12 has an older one.
const NODE_MAJOR: u32 = 20;

pub fn build() -> Result<()> {
    for folder in super::examples_with("package.json")? {
        if is_current(&folder)? {
            continue;
        }
        let name = super::name_of(&folder);
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

fn run_npm(folder: &Path, arguments: &[&str]) -> Result<()> {
    run_command(program("npm", folder).args(arguments))
}

fn node_is_recent() -> bool {
    let version = output(program("node", &workspace::root()).arg("--version")).unwrap_or_default();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major >= NODE_MAJOR)
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
