//! What the integration tests stand on: real nodes, real clients, bundles good and bad, and load whose every
//! answer is kept. A test says what must happen; everything here fails loudly, with a deadline and the node's log.

// A failed expectation in here is a failed test.
#![allow(clippy::unwrap_used)]

pub mod api;
pub mod bundles;
pub mod client;
pub mod cluster;
pub mod command;
pub mod debug_info;
pub mod files;
pub mod guests;
pub mod history;
pub mod load;
mod node;
mod pause;
pub mod services;
mod wait;

pub use api::Api;
pub use client::Answer;
pub use cluster::{Cluster, ClusterBuilder, Service, Storage};
pub use command::Output;
pub use node::{TestNode, TestNodeBuilder};
pub use wait::{DEADLINE, eventually};
