//! What the nodes of a cluster share besides the database. Today: announcements, within a process or over Redis.
//!
//! Announcements are a doorbell: they say "look again at topic T" and carry no facts, so losing one costs
//! latency and never correctness.

pub mod announcements;
mod redis;

pub use announcements::{Announcements, Subscription};
pub use redis::{RedisConfig, RedisConfigError, RedisHealth};

#[cfg(test)]
mod tests;
