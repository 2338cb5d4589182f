//! `cargo xtask bench`: builds server, guests and load generator, and hands over to the latter.

use std::env;
use std::process::Command;

use anyhow::Result;

use crate::command::{cargo, program, run as run_command, step};
use crate::{dist, guests, requirements, workspace};

pub const NEEDED: &[requirements::Program] =
    &[requirements::WRK, requirements::NGINX, requirements::NODE, requirements::TASKSET];

/// What the scenarios whose names begin so need besides.
const CLUSTER: &str = "cluster_";
const NEEDED_BY_CLUSTERS: &[requirements::Program] = &[requirements::MARIADB, requirements::REDIS];

/// Names a server that is built already; the bench then measures that one.
pub const SERVER: &str = "TYPECASE_BIN";

/// The load generator's exit code when it measured everything and a promise was not kept.
pub const MISSED: i32 = 3;

pub fn run(arguments: &[String]) -> Result<()> {
    let lists_only = arguments.iter().any(|argument| argument == "--list" || argument == "--help");
    if !lists_only {
        requirements::programs(NEEDED)?;
        if wants_a_cluster(arguments) {
            requirements::programs(NEEDED_BY_CLUSTERS)?;
        }
        guests::run_all()?;
    }

    let mut bench = load_generator()?;
    bench.args(arguments);
    if env::var_os(SERVER).is_none() && !lists_only {
        bench.env(SERVER, dist::build(false)?);
    }
    run_command(&mut bench)
}

/// The load generator, built together with its peers.
pub fn load_generator() -> Result<Command> {
    let root = workspace::root();
    step("building the load generator and its peers");
    run_command(cargo(&root).args(["build", "--release", "--package", "typecase-bench"]))?;
    Ok(program(workspace::binary("release", "typecase-bench"), &root))
}

/// Whether a scenario with a cluster runs: all do unless `--only NAME` or `--only=NAME` says something else.
fn wants_a_cluster(arguments: &[String]) -> bool {
    let mut only = false;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let name = match word.strip_prefix("--only=") {
            Some(name) => name,
            None if word == "--only" => words.next().map_or("", String::as_str),
            None => continue,
        };
        if name.starts_with(CLUSTER) {
            return true;
        }
        only = true;
    }
    !only
}

#[cfg(test)]
mod tests {
    use super::wants_a_cluster;

    #[test]
    fn a_cluster_is_wanted_unless_only_others_are() {
        for (arguments, expected) in [
            (&[][..], true),
            (&["--quick"], true),
            (&["--only", "fresh"], false),
            (&["--only=fresh", "--only", "cluster_quiet"], true),
            (&["--only=cluster_scale", "--quick"], true),
        ] {
            let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(wants_a_cluster(&arguments), expected, "{arguments:?}");
        }
    }
}
