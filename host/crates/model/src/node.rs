//! Nodes as the system of record knows them.

use serde::{Deserialize, Serialize};

use crate::NodeId;

/// One process of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub id: NodeId,
    /// What people call it: the config's `node.name`, else the host's name.
    pub name: String,
    /// Address of its admin port as other nodes and the CLI reach it.
    pub admin: String,
    /// Address of its app port as balancers reach it; empty while a node of an older version runs.
    #[serde(default)]
    pub apps: String,
    pub version: String,
    pub started_unix_ms: i64,
    /// Its last heartbeat, by the database's clock.
    pub heartbeat_unix_ms: i64,
    pub health: NodeHealth,
    /// The operator has taken it out of the balancers' rotation.
    #[serde(default)]
    pub draining: bool,
    /// What it suffers from while it serves, as sentences for operators; empty when all is well.
    #[serde(default)]
    pub problems: String,
}

/// Whether rollouts wait for a node; decided by its heartbeat's age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeHealth {
    Live,
    Lost,
}
