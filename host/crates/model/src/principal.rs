//! Whoever acts on the control plane.

use serde::{Deserialize, Serialize};

/// A user or an API token, with the role it acts in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// `admin`, `cli`, or `token:NAME`; shown in releases and logs.
    pub name: String,
    pub role: Role,
}

/// What a principal may do; each role may do all that the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Reads apps, releases, receipts and nodes.
    Viewer,
    /// Publishes, activates, rolls back and withdraws.
    Publisher,
    /// Manages tokens as well.
    Admin,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Publisher => "publisher",
            Self::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Viewer, Self::Publisher, Self::Admin].into_iter().find(|role| role.as_str() == text)
    }
}
