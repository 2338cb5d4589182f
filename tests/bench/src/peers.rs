//! Who Typecase is compared with; one way to start each, a file each.

pub mod native_axum;
pub mod nginx;
pub mod node_js;
pub mod wasmtime_serve;

use crate::process::Server;
use crate::wrk::Target;

/// A peer that answers.
#[derive(Debug)]
pub struct Peer {
    pub server: Server,
    pub address: String,
}

impl Peer {
    pub fn target(&self, path: &str, connections: u32) -> Target {
        Target { url: format!("http://{}{path}", self.address), connections, script: None }
    }
}
