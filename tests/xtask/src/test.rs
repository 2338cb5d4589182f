//! `cargo xtask test`: everything that has to hold before a change goes in.

use anyhow::{Result, bail};

use crate::command::{cargo, run as run_command, step, succeeds};
use crate::{guests, requirements, workspace};

/// What the tests start besides the server itself.
const NEEDED: &[requirements::Program] = &[
    requirements::NODE,
    requirements::NPM,
    requirements::MARIADB,
    requirements::REDIS,
    requirements::NGINX,
    requirements::HAPROXY,
    requirements::CURL,
    requirements::OPENSSL,
];

pub fn run(arguments: &[String]) -> Result<()> {
    if let Some(unknown) = arguments.first() {
        bail!(
            "`cargo xtask test` takes no `{unknown}`; for one test: cargo build --workspace && cargo nextest run --workspace NAME"
        );
    }
    requirements::programs(NEEDED)?;
    requirements::component("fmt", "rustfmt")?;
    requirements::component("clippy", "clippy")?;
    let root = workspace::root();

    step("checking the format");
    run_command(cargo(&root).args(["fmt", "--all", "--check"]))?;
    guests::run_all()?;
    step("checking the lints");
    run_command(cargo(&root).args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;

    // The integration tests start the real program, which testing alone does not build. Everything at once,
    // because a package built alone gets its dependencies with fewer features, and all of them twice.
    step("building the server and the tests");
    run_command(cargo(&root).args(["build", "--workspace", "--all-targets"]))?;

    // The runner's summary is the last thing on the screen: nothing is printed after it.
    if succeeds(cargo(&root).args(["nextest", "--version"])) {
        step("running the tests");
        run_command(cargo(&root).args(["nextest", "run", "--workspace", "--no-fail-fast"]))
    } else {
        step("running the tests (faster with `cargo install cargo-nextest --locked`)");
        run_command(cargo(&root).args([
            "test",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
            "--no-fail-fast",
        ]))
    }
}
