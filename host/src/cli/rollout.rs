//! The answer to publish, activate and roll back: what became of a release on each node.

use serde::Deserialize;
use serde_json::Value;

use super::answer::Answer;
use super::failure::{Exit, Failure};
use super::{receipts, text};

#[derive(Debug, Deserialize)]
struct Rollout {
    app: String,
    release: u32,
    state: String,
    #[serde(default)]
    unchanged: bool,
    #[serde(default)]
    behind: Vec<String>,
    #[serde(default)]
    receipts: Vec<Value>,
    #[serde(default)]
    duration_ms: u64,
}

/// Turns the server's document into an answer; a release that is not what was asked for is a failure.
pub fn answer(document: Value) -> Result<Answer, Failure> {
    let rollout: Rollout = parse(&document)?;
    let Rollout { app, release, state, unchanged, behind, receipts, duration_ms } = rollout;
    let nodes = text::count(receipts.len().max(1), "node");
    let took = text::duration(duration_ms);
    let behind_count = behind.len();
    let line = match state.as_str() {
        "active" if unchanged => format!("{app} release {release} is active already: nothing changed"),
        "active" if !behind.is_empty() => {
            let behind = behind.join(", ");
            format!("{app} release {release} is active ({took}), but not yet on {behind}")
        }
        "active" => format!("{app} release {release} is active on {nodes} ({took})"),
        "prepared" => format!(
            "{app} release {release} is prepared on {nodes} ({took}); make it serve with `typecase rollback {app} --to {release}`"
        ),
        state => {
            let detail = format!("{app} release {release} is {state} after {took}");
            let mut failure = Failure::local(Exit::NotConverged, "not-converged", detail);
            for field in ["app", "release", "state", "receipts"] {
                failure.document[field] = document[field].clone();
            }
            return Err(failure.advise(format!("`typecase releases {app}` shows what becomes of it")));
        }
    };
    // One node's receipt says nothing that the line does not; several may differ in time.
    let details = if receipts.len() > 1 { receipts::text(&receipts) } else { String::new() };
    let exit = if behind_count == 0 { Exit::Done } else { Exit::NotConverged };
    Ok(Answer { document, text: line + &details, exit })
}

/// Answers are read leniently: a newer server may say more than this command knows.
pub fn parse<T: for<'de> Deserialize<'de>>(document: &Value) -> Result<T, Failure> {
    T::deserialize(document).map_err(|error| {
        Failure::local(Exit::Failed, "answer-unknown", format!("cannot read the server's answer: {error}"))
            .advise("is the server of another version? `typecase nodes --json` tells".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(document: Value) -> String {
        answer(document).map_or_else(|failure| failure.text(), |answer| answer.text)
    }

    #[test]
    fn answers_read_as_sentences() {
        let receipt =
            |node: &str| json!({ "node": node, "state": "active", "detail": null, "duration_ms": 90 });
        let mut document = json!({
            "app": "hello", "release": 3, "state": "active", "unchanged": false, "generation": 9,
            "receipts": [receipt("a")], "duration_ms": 112,
        });
        assert_eq!(line(document.clone()), "hello release 3 is active on 1 node (112 ms)");
        document["receipts"] = json!([receipt("a"), receipt("b")]);
        assert_eq!(
            line(document.clone()),
            "hello release 3 is active on 2 nodes (112 ms)\n  a: active (90 ms)\n  b: active (90 ms)"
        );
        document["behind"] = json!(["b"]);
        let behind = answer(document.clone()).unwrap();
        assert!(behind.text.starts_with("hello release 3 is active (112 ms), but not yet on b\n"));
        assert_eq!(behind.exit, Exit::NotConverged);
        document["behind"] = json!([]);
        document["unchanged"] = json!(true);
        assert!(line(document.clone()).contains("nothing changed"));
        document["state"] = json!("preparing");
        let failure = answer(document).unwrap_err();
        assert_eq!(failure.exit, Exit::NotConverged);
        assert_eq!(failure.document["release"], 3);
    }
}
