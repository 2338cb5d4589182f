//! `cargo xtask bench`: builds server, guests and load generator as they ship, and hands over to the latter.

use std::env;

use anyhow::Result;

use crate::command::{cargo, program, run as run_command, step};
use crate::{guests, requirements, workspace};

const NEEDED: &[requirements::Program] =
    &[requirements::WRK, requirements::NGINX, requirements::NODE, requirements::TASKSET];

/// Names a server that is built already; the bench then measures that one.
const SERVER: &str = "TYPECASE_BIN";

/// The profile that ships.
const PROFILE: &str = "dist";

pub fn run(arguments: &[String]) -> Result<()> {
    let root = workspace::root();
    let lists_only = arguments.iter().any(|argument| argument == "--list" || argument == "--help");
    if !lists_only {
        requirements::programs(NEEDED)?;
        guests::run_all()?;
    }

    let mut build = cargo(&root);
    build.args(["build", "--release", "--package", "typecase-bench"]);
    step("building the load generator and its peers");
    run_command(&mut build)?;
    if env::var_os(SERVER).is_none() && !lists_only {
        let mut build = cargo(&root);
        build.args(["build", "--profile", PROFILE, "--package", "typecase"]);
        step("building the server as it ships; the first time this takes long");
        run_command(&mut build)?;
    }

    let mut bench = program(workspace::binary("release", "typecase-bench"), &root);
    bench.args(arguments);
    if env::var_os(SERVER).is_none() {
        bench.env(SERVER, workspace::binary(PROFILE, "typecase"));
    }
    run_command(&mut bench)
}
