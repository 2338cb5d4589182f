//! What the nodes of a cluster share besides the database. Today: announcements, for one node.
//!
//! Announcements are a doorbell: they say "look again at topic T" and carry no facts, so losing one costs
//! latency and never correctness.

pub mod announcements;

pub use announcements::{Announcements, Subscription};
