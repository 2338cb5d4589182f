//! Pure data shared by every floor above: names, manifest, limits, releases and receipts.
//!
//! Nothing here performs I/O. A value of one of these types has been checked when it was made
//! ("parse once, at the edge"), so the code above never checks it again.

pub mod announcement;
pub mod app_config;
pub mod limits;
pub mod log;
pub mod manifest;
pub mod names;
pub mod node;
pub mod principal;
pub mod release;
pub mod settings;

pub use announcement::{Topic, UnknownTopic};
pub use app_config::{AppConfig, ConfigError, ConfigName, ConfigProblem};
pub use limits::{LimitPolicy, Limits};
pub use log::{EntryLevel, EntrySource, LogEntry};
pub use manifest::{Manifest, ManifestError};
pub use names::{AppName, Digest, Generation, NameError, NodeId, ReleaseNumber};
pub use node::{Node, NodeHealth};
pub use principal::{Principal, Role};
pub use release::{App, Receipt, ReceiptState, Release, ReleaseState};
pub use settings::Settings;
