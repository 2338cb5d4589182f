//! The integration tests: one binary, one file a topic, each through a door that users have.

// A test that fails says so; there is nothing to recover.
#![allow(clippy::unwrap_used)]

mod bystander;
mod cache;
mod commands;
mod crash;
mod disk;
mod drain;
mod examples;
mod publish;
mod races;
mod refusals;
mod rollback;
mod start;
mod storm;
mod tidy;
