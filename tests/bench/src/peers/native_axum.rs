//! A native server without any sandbox: the ceiling.

use anyhow::{Result, bail};

use super::Peer;
use crate::options::Bench;
use crate::process::{Server, free_address};

pub const NAME: &str = "native axum";

pub async fn start(bench: &Bench) -> Result<Peer> {
    let program = std::env::current_exe()?.with_file_name("native-hello");
    if !program.is_file() {
        bail!("{} is not built: cargo build --release --package typecase-bench", program.display());
    }
    let address = free_address()?;
    let mut server = Server::start(bench, NAME, &program, &[&address])?;
    server.wait_for(&address, "/").await?;
    Ok(Peer { server, address })
}
