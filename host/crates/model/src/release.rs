//! Apps, releases and receipts as the system of record knows them.

use serde::{Deserialize, Serialize};

use crate::{AppName, Digest, Generation, Manifest, NodeId, ReleaseNumber};

/// A published app and where its rollout stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    pub name: AppName,
    /// Raised by every change of `active` or `candidate`; the subject of each compare-and-set.
    pub generation: Generation,
    /// The release that serves; none before the first activation and after a withdrawal.
    pub active: Option<ReleaseNumber>,
    /// The release that nodes are preparing.
    pub candidate: Option<ReleaseNumber>,
    /// Raised by every change of the app's config.
    #[serde(default)]
    pub config_generation: Generation,
    pub created_unix_ms: i64,
    pub updated_unix_ms: i64,
}

/// An immutable record: a bundle's digest and the manifest it was published with, under a number.
///
/// Only `state`, `failure` and `activated_unix_ms` change after it was made: they say what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    pub app: AppName,
    pub number: ReleaseNumber,
    /// Digest of the stored bundle.
    pub digest: Digest,
    pub manifest: Manifest,
    /// Free text of the publisher, at most 1,000 characters.
    pub note: String,
    /// Who published: the name of a user or API token.
    pub publisher: String,
    pub created_unix_ms: i64,
    pub state: ReleaseState,
    /// Why the release failed; a sentence for the publisher.
    pub failure: Option<String>,
    /// False: prepare on all nodes, but leave the activation to a later call.
    pub activate: bool,
    pub activated_unix_ms: Option<i64>,
}

/// What became of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseState {
    /// It is the app's candidate: nodes fetch, compile and check it.
    Preparing,
    /// All nodes were ready; it was published with `activate=false` and waits.
    Prepared,
    /// It serves.
    Active,
    /// It served once, and can be rolled back to.
    Retired,
    /// A node could not prepare it, or the rollout was aborted; it never served.
    Failed,
}

impl ReleaseState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Prepared => "prepared",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Preparing, Self::Prepared, Self::Active, Self::Retired, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// What one node reports about one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub app: AppName,
    pub release: ReleaseNumber,
    pub node: NodeId,
    /// What people call the node; empty when it has been forgotten. The store fills it in.
    #[serde(default)]
    pub name: String,
    pub state: ReceiptState,
    /// For `failed`: why, in a sentence for the publisher.
    pub detail: Option<String>,
    /// How long the node took to prepare the release, in milliseconds.
    pub duration_ms: u64,
    pub at_unix_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptState {
    Prepared,
    Failed,
    Active,
}

impl ReceiptState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Failed => "failed",
            Self::Active => "active",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Prepared, Self::Failed, Self::Active].into_iter().find(|state| state.as_str() == text)
    }
}
