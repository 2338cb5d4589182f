//! Node.js's own `http` server: one process that all requests share.

use anyhow::{Context, Result};

use super::Peer;
use crate::options::Bench;
use crate::process::{Server, find, free_address};

pub const NAME: &str = "Node.js http";

pub async fn start(bench: &Bench) -> Result<Peer> {
    let program = find("node").context("node is not on the PATH (Debian: apt-get install nodejs)")?;
    let script = bench.root.join("tests/bench/peers/hello.mjs").display().to_string();
    let address = free_address()?;
    let mut server = Server::start(bench, NAME, &program, &[&script, &address])?;
    server.wait_for(&address, "/").await?;
    Ok(Peer { server, address })
}
