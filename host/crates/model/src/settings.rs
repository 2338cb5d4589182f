//! The cluster's dynamic settings: a sparse document of dotted keys, each in place of what a node's own
//! configuration says. What the document does not mention is left to each node.

mod diff;
mod document;
mod keys;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::{Generation, NodeId};

pub use diff::{Difference, differences};
pub use document::{Misfit, SettingChanges, Settings, SettingsError};
pub use keys::{Kind, SETTING_KEYS, SettingKey, SettingValue};

/// How many old releases of an app are kept, and for how long after they served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub releases: u32,
    /// None: whatever their age.
    pub age_ms: Option<i64>,
}

impl Retention {
    /// What has not been used since is too old.
    pub fn oldest_unix_ms(&self, now_unix_ms: i64) -> i64 {
        self.age_ms.map_or(i64::MIN, |age_ms| now_unix_ms.saturating_sub(age_ms))
    }
}

/// One entry of the history: the whole document, and who made it.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsRevision {
    /// Raised by each change; 0 stands for the time before the first one.
    pub generation: Generation,
    pub settings: Settings,
    /// The name of a user or API token; empty at generation 0.
    pub changed_by: String,
    pub note: String,
    pub created_unix_ms: i64,
}

/// What one node reports about the newest settings that it has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsReceipt {
    pub node: NodeId,
    pub generation: Generation,
    pub state: SettingsState,
    /// For people: why the node failed, or what of the document it leaves out and why.
    pub detail: Option<String>,
    /// Keys that this node leaves out, because it is of another version or cannot honour their value.
    pub ignored: Vec<String>,
    pub at_unix_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SettingsState {
    /// They hold on the node, but for the keys that it ignores.
    Applied,
    /// The node goes on with what held before.
    Failed,
}

impl SettingsState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Applied, Self::Failed].into_iter().find(|state| state.as_str() == text)
    }
}
