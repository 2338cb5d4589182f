//! Converging this node to the database: one idempotent task a file, which takes no input.
//!
//! A task is woken by an announcement and by a timer, and reads the truth itself each time.

mod apps;
mod collect;
mod local;
mod nodes;
mod prepare;

pub use apps::Apps;
pub use collect::collect_forever;
pub use local::LocalReleases;
pub use nodes::{Registration, heartbeat_forever};
pub use prepare::Preparer;
