//! `typecase nodes`

use serde::Deserialize;

use super::answer::Answer;
use super::client::Client;
use super::failure::Failure;
use super::{rollout, text};

#[derive(Debug, Deserialize)]
struct Nodes {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    name: String,
    admin: String,
    version: String,
    health: String,
    heartbeat_unix_ms: i64,
    started_unix_ms: i64,
}

pub async fn run(client: &Client) -> Result<Answer, Failure> {
    let document = client.get("/api/v1/nodes").await?;
    let Nodes { nodes } = rollout::parse(&document)?;
    let now = text::now_unix_ms();
    let rows = nodes.into_iter().map(|node| {
        vec![
            node.name,
            node.health,
            node.admin,
            node.version,
            text::ago(node.started_unix_ms, now),
            text::ago(node.heartbeat_unix_ms, now),
            node.id,
        ]
    });
    let header = ["NODE", "HEALTH", "ADMIN", "VERSION", "STARTED", "HEARTBEAT", "ID"];
    Ok(Answer::done(document, text::table(&header, rows.collect())))
}
