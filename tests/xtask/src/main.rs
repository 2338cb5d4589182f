//! `cargo xtask COMMAND`: what a developer or a build machine does with this repository, one file a command.

mod bench;
mod command;
mod demo;
mod dist;
mod guests;
mod layout;
mod requirements;
mod test;
mod workspace;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask demo  [--exit] [--keep] [--release]   start a node with the examples published, and say what to try
cargo xtask test                                  set up, build the guests, check format and lints, run every test
cargo xtask bench [--quick] [--only NAME] [--seconds N] [--rounds N] [--install-peers] [--list]
                                                  compare with other servers, side by side in one run
cargo xtask dist  [--retrain]                     build the server as it ships: optimised for what it does under load
cargo xtask guests                                build the guests and the examples, nothing else";

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    match command.as_str() {
        "demo" => demo::run(&rest),
        "test" => test::run(&rest),
        "bench" => bench::run(&rest),
        "dist" => dist::run(&rest),
        "guests" => guests::run(&rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        "" => bail!("a command is missing\n{USAGE}"),
        unknown => bail!("there is no command `{unknown}`\n{USAGE}"),
    }
}
