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
    pub version: String,
    pub started_unix_ms: i64,
    /// Its last heartbeat, by the database's clock.
    pub heartbeat_unix_ms: i64,
    pub health: NodeHealth,
}

/// Whether rollouts wait for a node; decided by its heartbeat's age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeHealth {
    Live,
    Lost,
}
