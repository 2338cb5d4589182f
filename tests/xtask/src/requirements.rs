//! What has to be on the machine: installed where this user may, named where not.

use std::env;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, output, program, run, step, succeeds};
use crate::workspace;

/// A program that comes from the system's packages.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    pub name: &'static str,
    /// Debian's packages that bring it.
    pub packages: &'static [&'static str],
    pub why: &'static str,
}

pub const NODE: Program = Program {
    name: "node",
    packages: &["nodejs"],
    why: "builds the JavaScript example and is a peer in the bench",
};
pub const NPM: Program =
    Program { name: "npm", packages: &["npm"], why: "fetches componentize-js for the JavaScript example" };
pub const PYTHON: Program = Program {
    name: "python3",
    packages: &["python3", "python3-venv"],
    why: "builds the example in Python, and brings Go where there is none",
};
pub const WRK: Program = Program { name: "wrk", packages: &["wrk"], why: "makes the bench's load" };
pub const NGINX: Program = Program {
    name: "nginx",
    packages: &["nginx"],
    why: "balances in front of a cluster, and is the bench's peer for static files",
};
pub const HAPROXY: Program =
    Program { name: "haproxy", packages: &["haproxy"], why: "balances in front of a cluster" };
pub const MARIADB: Program =
    Program { name: "mariadbd", packages: &["mariadb-server"], why: "is a cluster's database" };
pub const REDIS: Program =
    Program { name: "redis-server", packages: &["redis-server"], why: "is a cluster's Redis" };
pub const CURL: Program =
    Program { name: "curl", packages: &["curl"], why: "speaks S3 to the S3 server of the tests" };
pub const OPENSSL: Program =
    Program { name: "openssl", packages: &["openssl"], why: "makes the certificates of the tests" };
pub const TASKSET: Program =
    Program { name: "taskset", packages: &["util-linux"], why: "keeps a server on one core in the bench" };

/// Makes sure that every program is there: root gets them installed, anybody else is told how.
pub fn programs(wanted: &[Program]) -> Result<()> {
    let missing: Vec<&Program> = wanted.iter().filter(|program| !is_there(program.name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().flat_map(|program| program.packages).copied().collect();
    if is_root() && is_there("apt-get") {
        return apt_install(&packages);
    }
    let list: Vec<String> =
        missing.iter().map(|program| format!("  {}: {}", program.name, program.why)).collect();
    bail!(
        "these programs are missing:\n{}\ninstall them; on Debian or Ubuntu: sudo apt-get install {}",
        list.join("\n"),
        packages.join(" ")
    )
}

/// Makes sure that Python is there, with what makes virtual environments: Debian keeps that apart.
pub fn python() -> Result<()> {
    programs(&[PYTHON])?;
    let root = workspace::root();
    if succeeds(program("python3", &root).args(["-c", "import venv, ensurepip"])) {
        return Ok(());
    }
    if is_root() && is_there("apt-get") {
        return apt_install(&["python3-venv"]);
    }
    bail!("python3 cannot make virtual environments; on Debian or Ubuntu: sudo apt-get install python3-venv")
}

/// Makes sure that Rust can compile for a target.
pub fn target(name: &str) -> Result<()> {
    let root = workspace::root();
    let library = output(program("rustc", &root).args(["--print", "target-libdir", "--target", name]))?;
    if Path::new(&library).is_dir() {
        return Ok(());
    }
    if !is_there("rustup") {
        bail!("Rust's standard library for {name} is missing: install it, or use rustup (https://rustup.rs)");
    }
    step(&format!("installing Rust's standard library for {name}"));
    run(program("rustup", &root).args(["target", "add", name]))
        .with_context(|| format!("run `rustup target add {name}` when the network is there"))
}

/// Makes sure that a part of the toolchain is there (`clippy`, `fmt`).
pub fn component(subcommand: &str, name: &str) -> Result<()> {
    let root = workspace::root();
    if succeeds(cargo(&root).args([subcommand, "--version"])) {
        return Ok(());
    }
    if !is_there("rustup") {
        bail!("`cargo {subcommand}` is missing: install {name} for this Rust");
    }
    step(&format!("installing {name}"));
    run(program("rustup", &root).args(["component", "add", name]))
}

/// Whether a program of that name is on the PATH.
pub fn is_there(name: &str) -> bool {
    let Some(path) = env::var_os("PATH") else {
        return false;
    };
    // Debian keeps nginx in /usr/sbin, which is not on everybody's PATH.
    env::split_paths(&path).chain(["/usr/sbin".into()]).any(|folder| folder.join(name).is_file())
}

fn apt_install(packages: &[&str]) -> Result<()> {
    step(&format!("installing Debian packages: {}", packages.join(" ")));
    let root = workspace::root();
    run(program("apt-get", &root).args(["update", "-qq"]))?;
    run(program("apt-get", &root)
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

fn is_root() -> bool {
    output(program("id", Path::new("/")).arg("-u")).is_ok_and(|id| id == "0")
}
