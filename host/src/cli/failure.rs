//! Why a command did not do what it was asked to, and the exit code that says so to scripts.

use std::path::Path;

use serde_json::{Value, json};

/// The contract's exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Unreachable = 3,
    NotAllowed = 4,
    NotConverged = 5,
}

/// A problem document (RFC 9457), the server's own or one made here in the same form.
#[derive(Debug, Clone)]
pub struct Failure {
    pub exit: Exit,
    pub document: Value,
    /// What to do next, where the problem itself does not say it.
    pub advice: Option<String>,
}

impl Failure {
    /// A failure on this side of the connection.
    pub fn local(exit: Exit, code: &str, detail: String) -> Self {
        let document = json!({ "type": "about:blank", "title": title(exit), "detail": detail, "code": code });
        Self { exit, document, advice: None }
    }

    /// A failure that the server reported.
    pub fn from_server(status: u16, mut document: Value) -> Self {
        if !document.is_object() {
            document =
                json!({ "type": "about:blank", "title": "the server answered an error", "code": "unknown" });
        }
        if document["status"].is_null() {
            document["status"] = status.into();
        }
        let exit = match (status, document["code"].as_str().unwrap_or_default()) {
            (401 | 403, _) => Exit::NotAllowed,
            (_, code) if CODES_NOT_CONVERGED.contains(&code) => Exit::NotConverged,
            (504, _) => Exit::NotConverged,
            _ => Exit::Failed,
        };
        Self { exit, document, advice: None }
    }

    pub fn advise(mut self, advice: String) -> Self {
        self.advice = Some(advice);
        self
    }

    /// Names the file that the detail speaks of.
    pub fn within(mut self, path: &Path) -> Self {
        let detail = self.document["detail"].as_str().unwrap_or_default();
        self.document["detail"] = format!("{}: {detail}", path.display()).into();
        self
    }

    pub fn code(&self) -> &str {
        self.document["code"].as_str().unwrap_or_default()
    }

    /// For people: what happened, on which node, what to do.
    pub fn text(&self) -> String {
        let field = |name: &str| self.document[name].as_str().filter(|text| !text.is_empty());
        let what = field("detail").or(field("title")).unwrap_or("the command failed");
        // What a program said that was run, and then what came of it.
        let said = field("output").map(|output| format!("{}\n", output.trim_end())).unwrap_or_default();
        let mut text = format!("{said}error: {what}");
        if let Some(receipts) = self.document["receipts"].as_array() {
            // One node's reason is in the text already; of several each one counts.
            let said =
                receipts.iter().all(|receipt| what.contains(receipt["detail"].as_str().unwrap_or_default()));
            if receipts.len() > 1 || !said {
                text.push_str(&super::receipts::text(receipts));
            }
        }
        if let Some(advice) = &self.advice {
            text.push_str(&format!("\n  {advice}"));
        }
        // Under the id the node's log says more; of a mistake of the user's it has nothing to say.
        let logged = self.exit == Exit::NotConverged || self.document["status"].as_u64() >= Some(500);
        if let Some(request_id) = field("request_id").filter(|_| logged) {
            text.push_str(&format!("\n  request id: {request_id}"));
        }
        text
    }
}

/// The release was taken, but did not become active everywhere.
const CODES_NOT_CONVERGED: [&str; 3] = ["release-failed", "rollout-timeout", "rollout-superseded"];

fn title(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "Done",
        Exit::Failed => "Failed",
        Exit::Usage => "Wrong usage",
        Exit::Unreachable => "Server unreachable",
        Exit::NotAllowed => "Not allowed",
        Exit::NotConverged => "Not converged",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_become_exit_codes() {
        for (status, code, exit) in [
            (401, "token-missing", Exit::NotAllowed),
            (403, "role-missing", Exit::NotAllowed),
            (422, "release-failed", Exit::NotConverged),
            (504, "gateway-timeout", Exit::NotConverged),
            (422, "bundle-invalid", Exit::Failed),
        ] {
            assert_eq!(Failure::from_server(status, json!({ "code": code })).exit, exit, "{code}");
        }
        assert_eq!(Failure::from_server(502, Value::Null).document["status"], 502);
    }

    #[test]
    fn text_names_nodes_and_the_next_step() {
        let failure = Failure::from_server(
            422,
            json!({
                "code": "release-failed",
                "title": "Release failed",
                "detail": "hello release 4 failed",
                "request_id": "r-1",
                "receipts": [{ "node": "a", "state": "failed", "detail": "health path / answered 500", "duration_ms": 85 }],
            }),
        )
        .advise("release 3 still serves".to_owned());
        assert_eq!(
            failure.text(),
            "error: hello release 4 failed\n  a: failed, health path / answered 500 (85 ms)\n  release 3 still serves\n  request id: r-1"
        );
    }
}
