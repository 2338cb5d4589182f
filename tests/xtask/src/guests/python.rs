//! The examples in Python: a virtual environment in the target folder with what their requirements pin, then the
//! command of the example's own manifest.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::freshness::is_current;
use crate::command::{program, run as run_command, step};
use crate::{requirements, workspace};

/// The requirements that were installed last, so that they are not asked for each time.
const INSTALLED: &str = "installed-requirements.txt";

pub fn build() -> Result<()> {
    for folder in super::examples_with("requirements.txt")? {
        if is_current(&folder)? {
            continue;
        }
        let name = super::name_of(&folder);
        let requirements = fs::read_to_string(folder.join("requirements.txt"))?;
        install(&requirements)?;
        step(&format!("building examples/{name} (an interpreter is embedded; this takes some seconds)"));
        super::run_manifest_command(&folder, &path_with_environment()?)?;
    }
    Ok(())
}

/// Installs packages into the virtual environment, which is made when there is none.
pub fn install(requirements: &str) -> Result<()> {
    let environment = environment();
    let installed = environment.join(INSTALLED);
    let known = fs::read_to_string(&installed).unwrap_or_default();
    if requirements.lines().all(|wanted| known.lines().any(|line| line == wanted)) {
        return Ok(());
    }
    let root = workspace::root();
    if !environment.join("bin/pip").is_file() {
        requirements::python()?;
        step("making a virtual environment for Python");
        run_command(program("python3", &root).args(["-m", "venv"]).arg(&environment))?;
    }
    let packages: Vec<&str> = requirements
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    step(&format!("fetching {}", packages.join(" ")));
    let mut pip = program(environment.join("bin/pip"), &root);
    pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(&packages);
    run_command(&mut pip).context("pip could not fetch the packages: is the network there?")?;
    fs::write(&installed, format!("{known}{}\n", requirements.trim_end()))?;
    Ok(())
}

/// The PATH with the environment's programs first.
pub fn path_with_environment() -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(environment().join("bin")).chain(env::split_paths(&path));
    env::join_paths(folders).context("the PATH cannot be extended")
}

fn environment() -> PathBuf {
    workspace::target().join("python")
}
