//! Redis through fred: the only place that knows how to reach it, and what to think when it does not answer.
//!
//! A connection is made anew rather than repaired: fred's own reconnecting waits inside of its task for sockets that
//! never become ready, takes a subscription for granted once it is written, and always asks the same Sentinel first.
//! A task that can be dropped as a whole has none of these states.

mod backoff;
mod commands;
mod config;
mod connection;
mod fault;
mod health;

pub(crate) use backoff::Backoff;
pub(crate) use commands::Commands;
pub use config::{RedisConfig, RedisConfigError};
pub(crate) use connection::Connection;
pub(crate) use fault::Fault;
pub use health::RedisHealth;
pub(crate) use health::{Health, Part};
