//! The lines of the node's log, in JSON, as far as an author is told of them.

use std::net::SocketAddr;

use serde_json::Value;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeLine {
    /// It serves from now on.
    Ready { apps: SocketAddr, admin: SocketAddr },
    /// What the node has to say itself.
    Node { is_problem: bool, text: String },
    /// Not from the log: a panic of the node, or what it says before it has a log.
    Raw(String),
    /// What nobody here needs; among it the link that sets up an administrator.
    Idle,
}

impl NodeLine {
    pub fn parse(line: &str) -> Self {
        let Ok(document @ Value::Object(_)) = serde_json::from_str::<Value>(line) else {
            let is_idle = line.trim().is_empty()
                || line.contains("No account exists")
                || line.contains("/setup?token=");
            return if is_idle { Self::Idle } else { Self::Raw(line.to_owned()) };
        };
        let field = |name: &str| document[name].as_str().unwrap_or_default();
        let address = |name: &str| field(name).parse().ok();
        let text = field("message").to_owned();
        if text == "ready"
            && let (Some(apps), Some(admin)) = (address("apps.address"), address("admin.address"))
        {
            return Self::Ready { apps, admin };
        }
        // What concerns a request is in the app's log, and why a candidate failed is in the answer to its publish.
        let is_told = !document["request.id"].is_null() || !document["release.number"].is_null();
        Self::Node { is_problem: field("level") == "ERROR" || field("level") == "WARN" && !is_told, text }
    }
}
