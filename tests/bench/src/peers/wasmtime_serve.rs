//! `wasmtime serve`, the demo server of the same engine.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::Peer;
use crate::options::Bench;
use crate::process::{Server, find, free_address};

pub const NAME: &str = "wasmtime serve";

/// The engine's line that Typecase is built with, and the newest version of it.
const LINE: &str = "48";
const VERSION: &str = "48.0.8";
/// What serving needs; the default set takes three times as long to build and changes none of serve's defaults.
const FEATURES: &str = "run,serve,cranelift,parallel-compilation,pooling-allocator,component-model,\
                        component-model-async,backtrace,addr2line,demangle,threads,gc,gc-drc";

/// Serves a component; `flags` come on top of the defaults.
pub async fn start(bench: &Bench, component: &Path, flags: &[&str]) -> Result<Peer> {
    let program = find("wasmtime").context("wasmtime is not on the PATH: --install-peers builds it")?;
    let version = version(&program).await?;
    if !version.starts_with(&format!("wasmtime {LINE}.")) {
        bail!(
            "{version} is on the PATH, and Typecase is built with {LINE}: only the same engine says something"
        );
    }
    let address = free_address()?;
    // A guest of Rust's standard library imports more than the proxy world; everything else is left at its default.
    let mut arguments = vec!["serve", "-Scli", "--addr", &address];
    arguments.extend(flags);
    let component = component.display().to_string();
    arguments.push(&component);
    let mut server = Server::start(bench, NAME, &program, &arguments)?;
    server.wait_for(&address, "/").await?;
    Ok(Peer { server, address })
}

async fn version(program: &Path) -> Result<String> {
    let output =
        Command::new(program).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output().await?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Builds and installs it where cargo puts programs, unless it is there.
pub async fn install() -> Result<()> {
    if find("wasmtime").is_some() {
        return Ok(());
    }
    let command = install_command();
    eprintln!("==> {} (takes some minutes)", command.join(" "));
    let status = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await?;
    if !status.success() {
        bail!("`{}` failed ({status})", command.join(" "));
    }
    if find("wasmtime").is_none() {
        bail!("wasmtime is installed, but cargo's folder of programs is not on the PATH: add ~/.cargo/bin");
    }
    Ok(())
}

fn install_command() -> Vec<String> {
    let words = "cargo install wasmtime-cli --locked --no-default-features --version";
    let mut command: Vec<String> = words.split(' ').map(str::to_owned).collect();
    command.extend([VERSION.to_owned(), "--features".to_owned(), FEATURES.to_owned()]);
    command
}
