//! The integration tests: one binary, one file a topic, each through a door that users have.
//!
//! They start the real program: `cargo xtask guests && cargo build -p typecase && cargo test -p typecase-it`.

// A test that fails says so; there is nothing to recover.
#![allow(clippy::unwrap_used)]

mod app_config;
mod assets;
mod balancer;
mod bystander;
mod cache;
mod cluster;
mod commands;
mod compile;
mod completion;
mod crash;
mod debug_info;
mod dev;
mod disk;
mod drain;
mod examples;
mod guests;
mod guides;
mod http;
mod http2;
mod languages;
mod limits;
mod logs;
mod memory;
mod observability;
mod offender;
mod p3;
mod project;
mod publish;
mod races;
mod refusals;
mod rollback;
mod routing;
mod schema;
mod sdk;
mod settings;
mod snapshots;
mod spin;
mod start;
mod storm;
mod templates;
mod tidy;
mod versions;
mod wire;
mod wit;
