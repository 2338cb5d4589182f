//! Converging this node to the database: one idempotent task a file, which takes no input.
//!
//! A task is woken by an announcement and by a timer, and reads the truth itself each time.

mod app_config;
mod apps;
mod attempts;
mod collect;
mod heal;
mod local;
mod nodes;
mod prepare;
mod settings;

pub use apps::Apps;
pub use attempts::Attempts;
pub use collect::collect_forever;
pub use heal::heal_forever;
pub use local::LocalReleases;
pub use nodes::{Heartbeat, Registration, StorageWatch};
pub use prepare::Preparer;
pub use settings::SettingsTask;
