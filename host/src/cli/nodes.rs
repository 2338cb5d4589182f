//! `typecase nodes [drain NODE | resume NODE]`

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::answer::Answer;
use super::client::Client;
use super::failure::Failure;
use super::{completion, rollout, text};

const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub struct NodesArguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Have balancers leave a node alone; it goes on serving what still comes.
    Drain {
        /// Name or id of the node.
        #[arg(add = completion::nodes())]
        node: String,
    },
    /// Let balancers come back to a drained node.
    Resume {
        /// Name or id of the node.
        #[arg(add = completion::nodes())]
        node: String,
    },
}

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
    #[serde(default)]
    draining: bool,
    #[serde(default)]
    problems: String,
    heartbeat_unix_ms: i64,
    started_unix_ms: i64,
}

impl Node {
    /// One word for what an operator should know first.
    fn state(&self) -> &str {
        match () {
            () if self.health != "live" => &self.health,
            () if self.draining => "drained",
            () if !self.problems.is_empty() => "degraded",
            () => &self.health,
        }
    }
}

pub async fn run(client: &Client, arguments: NodesArguments) -> Result<Answer, Failure> {
    match arguments.action {
        None => list(client).await,
        Some(Action::Drain { node }) => {
            let path = format!("/api/v1/nodes/{}/drain", segment(&node));
            let document = client.post(&path, &json!({}), TIMEOUT).await?;
            let text =
                format!("{node} is drained: balancers leave it alone until `typecase nodes resume {node}`");
            Ok(Answer::done(document, text))
        }
        Some(Action::Resume { node }) => {
            let path = format!("/api/v1/nodes/{}/resume", segment(&node));
            let document = client.post(&path, &json!({}), TIMEOUT).await?;
            Ok(Answer::done(document, format!("{node} takes requests again")))
        }
    }
}

async fn list(client: &Client) -> Result<Answer, Failure> {
    let document = client.get("/api/v1/nodes").await?;
    let Nodes { nodes } = rollout::parse(&document)?;
    let now = text::now_unix_ms();
    let mut problems = String::new();
    let mut rows = Vec::new();
    for node in nodes {
        if !node.problems.is_empty() && node.health == "live" {
            problems.push_str(&format!("\n{}: {}", node.name, node.problems));
        }
        let state = node.state().to_owned();
        rows.push(vec![
            node.name,
            state,
            node.admin,
            node.version,
            text::ago(node.started_unix_ms, now),
            text::ago(node.heartbeat_unix_ms, now),
            node.id,
        ]);
    }
    let header = ["NODE", "HEALTH", "ADMIN", "VERSION", "STARTED", "HEARTBEAT", "ID"];
    Ok(Answer::done(document, format!("{}{problems}", text::table(&header, rows))))
}

/// A name as one segment of a path.
fn segment(name: &str) -> String {
    form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}
