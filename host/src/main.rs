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

/// Mimalloc's `mi_option_purge_delay`, which its bindings do not name: how long free memory is kept, in milliseconds.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
const _: () = assert!(libmimalloc_sys::mi_option_use_numa_nodes == PURGE_DELAY + 1);

fn main() -> ExitCode {
    give_free_memory_back();
    cli::run()
}

/// Free memory goes back to the system at once. By itself the allocator looks for it a second later, and only when it is
/// asked for more: a node kept 8 MiB that its publishes had needed. `MIMALLOC_PURGE_DELAY` in the environment holds instead.
#[allow(unsafe_code)]
fn give_free_memory_back() {
    // SAFETY: it sets a number, while there is one thread.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, 0) }
}
