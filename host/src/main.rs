//! `typecase`: the server and every command, one binary. Arguments, then a command, then its exit code.

mod admin;
mod api;
mod cli;
mod config;
mod control;
mod dev;
mod ingress;
mod judge;
mod lifecycle;
mod log_writer;
mod logs;
mod node;
mod peers;
mod reconcile;
mod settings;

use std::process::ExitCode;

/// Many short-lived allocations on every core, one set for each request: it keeps the tail short.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
