//! An app's config: the values that an operator sets, and what a release's instances see of them.
//!
//! A release sees the keys that its manifest declares, each with the value that was set or else its default.

mod resolve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::settings::SettingsState;
use crate::{AppName, Generation, NodeId};

pub use resolve::{ConfigError, ConfigProblem};

/// Keys are typed on command lines; the manifest's own limit is the same.
pub const CONFIG_NAME_CHARS_MAX: usize = 64;
/// A certificate chain or a private key with room; what is larger belongs into a file or a database.
pub const CONFIG_VALUE_BYTES_MAX: usize = 64 * 1024;
/// Keys with a value, of one app.
pub const CONFIG_VALUES_MAX: usize = 200;
/// All names and values of one app: every node keeps them in memory, and a guest may ask for all at once.
pub const CONFIG_BYTES_MAX: usize = 1024 * 1024;

/// A key of an app's config.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConfigName(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a key of a config: use 1 to {CONFIG_NAME_CHARS_MAX} of a-z, 0-9, `_`, `-` and `.`")]
pub struct ConfigNameError(String);

impl ConfigName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ConfigName {
    type Err = ConfigNameError;

    fn from_str(text: &str) -> Result<Self, ConfigNameError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.');
        match (1..=CONFIG_NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed) {
            true => Ok(Self(text.to_owned())),
            false => Err(ConfigNameError(text.chars().take(CONFIG_NAME_CHARS_MAX + 1).collect())),
        }
    }
}

impl TryFrom<String> for ConfigName {
    type Error = ConfigNameError;
    fn try_from(text: String) -> Result<Self, ConfigNameError> {
        text.parse()
    }
}

impl From<ConfigName> for String {
    fn from(name: ConfigName) -> String {
        name.0
    }
}

impl fmt::Display for ConfigName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was set for an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppConfig {
    pub app: AppName,
    /// Raised by each change; 0 before the first one.
    pub generation: Generation,
    pub values: BTreeMap<ConfigName, ConfigValue>,
}

impl AppConfig {
    /// Before anything was set.
    pub fn never_set(app: AppName) -> Self {
        Self { app, generation: Generation(0), values: BTreeMap::new() }
    }
}

/// A value as it was set.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigValue {
    pub content: ConfigContent,
    /// Kept sealed, and shown to nobody but the app's own instances.
    pub secret: bool,
    /// The name of a user or API token.
    pub changed_by: String,
    pub updated_unix_ms: i64,
}

/// Not serializable, so that no answer holds it by accident.
#[derive(Clone, PartialEq, Eq)]
pub enum ConfigContent {
    Text(String),
    /// A sealed value that does not open here; why, in a sentence.
    Unreadable(String),
}

// Derived, it would show what must not stand in a log.
impl fmt::Debug for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigValue").field("secret", &self.secret).finish_non_exhaustive()
    }
}

/// What one node reports about an app's config: whether the release that serves there sees its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppConfigReceipt {
    pub app: AppName,
    pub node: NodeId,
    pub generation: Generation,
    pub state: SettingsState,
    /// For `failed`: why, in a sentence for the operator.
    pub detail: Option<String>,
    pub at_unix_ms: i64,
}
