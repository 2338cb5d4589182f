//! Lines of an answer that are no entries: what is missing, and where the past ends.

use bytes::Bytes;
use serde_json::{Value, json};
use typecase_model::Node;

/// A JSON object with the key `notice`, which no entry has.
#[derive(Debug, Clone)]
pub struct Notice(Bytes);

/// The code of the notice that separates what was there from what comes.
const LIVE: &str = "live";

impl Notice {
    fn new(code: &str, node: &str, message: &str) -> Self {
        Self::of(&json!({ "notice": code, "node.name": node, "message": message }))
    }

    fn of(value: &Value) -> Self {
        Self(format!("{value}\n").into())
    }

    /// Whatever follows is new.
    pub fn live() -> Self {
        Self::of(&json!({ "notice": LIVE }))
    }

    pub fn missing(node: &str, reason: &str) -> Self {
        Self::new("node-missing", node, &format!("{node} {reason}; its entries are missing here"))
    }

    pub fn back(node: &str) -> Self {
        Self::new("node-back", node, &format!("{node} answers again"))
    }

    pub fn lost(node: &Node) -> Self {
        Self::missing(&node.name, "is gone")
    }

    pub fn incomplete(node: &str, problem: &str) -> Self {
        Self::new("incomplete", node, &format!("{node}: {problem}"))
    }

    pub fn missed(node: &str, count: u64) -> Self {
        let message = format!("{count} entries of {node} came too fast for this answer and are left out");
        Self::of(
            &json!({ "notice": "entries-missed", "node.name": node, "count": count, "message": message }),
        )
    }

    pub fn nodes_unknown() -> Self {
        let message =
            "the database does not answer, so the other nodes are unknown: these are the entries of one node";
        Self::of(&json!({ "notice": "nodes-unknown", "message": message }))
    }

    /// What another node noted, as it wrote it.
    pub fn of_another_node(line: Bytes) -> Self {
        Self([&line[..], b"\n"].concat().into())
    }

    pub fn is_live(line: &[u8]) -> bool {
        serde_json::from_slice::<Value>(line).is_ok_and(|value| value["notice"] == LIVE)
    }

    pub fn line(&self) -> Bytes {
        self.0.clone()
    }
}
