//! What became of a change on each node.

use serde::Deserialize;
use serde_json::Value;

use super::super::answer::Answer;
use super::super::failure::{Exit, Failure};
use super::super::{rollout, text};
use super::not_converged;
use super::show::{Difference, lines};

#[derive(Debug, Deserialize)]
struct Changed {
    generation: u64,
    #[serde(default)]
    unchanged: bool,
    #[serde(default)]
    changes: Vec<Difference>,
    converged: bool,
    #[serde(default)]
    receipts: Vec<Receipt>,
    #[serde(default)]
    duration_ms: u64,
}

#[derive(Debug, Deserialize)]
struct Receipt {
    name: String,
    #[serde(default)]
    health: String,
    state: String,
    detail: Option<String>,
    #[serde(default)]
    ignored: Vec<String>,
}

/// Turns the server's document into an answer; what not every live node has applied is a failure.
pub fn answer(document: Value) -> Result<Answer, Failure> {
    let Changed { generation, unchanged, changes, converged, receipts, duration_ms } =
        rollout::parse(&document)?;
    let live = receipts.iter().filter(|receipt| receipt.health == "live").count();
    let took = text::duration(duration_ms);
    if !converged {
        let detail = format!(
            "generation {generation} is stored, but does not hold on every node after {took}{}",
            nodes(&receipts, |receipt| receipt.is_remarkable())
        );
        return Err(not_converged(&document, detail));
    }
    let head = match unchanged {
        true => format!("nothing changed: generation {generation} says so already"),
        false => format!("generation {generation} holds on {} ({took})", text::count(live, "node")),
    };
    let remarks = nodes(&receipts, |receipt| receipt.health == "live" && receipt.is_remarkable());
    Ok(Answer::done(document, head + &lines(&changes) + &remarks))
}

/// One line a node; not every live node having applied the settings makes the command fail.
pub fn receipts(document: Value) -> Result<Answer, Failure> {
    let Changed { generation, converged, receipts, .. } = rollout::parse(&document)?;
    let text = format!("generation {generation}{}", nodes(&receipts, |_| true));
    let exit = if converged { Exit::Done } else { Exit::NotConverged };
    Ok(Answer { document, text, exit })
}

impl Receipt {
    fn is_remarkable(&self) -> bool {
        self.state != "applied" || !self.ignored.is_empty()
    }
}

fn nodes(receipts: &[Receipt], which: impl Fn(&Receipt) -> bool) -> String {
    let line = |receipt: &Receipt| {
        let Receipt { name, health, state, detail, .. } = receipt;
        let state = match (health.as_str(), state.as_str()) {
            ("lost", "pending") => "lost",
            ("live", "pending") => "has not applied it yet",
            (_, state) => state,
        };
        let detail = detail.as_ref().map(|detail| format!(": {}", detail.trim_end().replace('\n', "\n    ")));
        format!("\n  {name}: {state}{}", detail.unwrap_or_default())
    };
    receipts.iter().filter(|receipt| which(receipt)).map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(document: Value) -> String {
        answer(document).map_or_else(|failure| failure.text(), |answer| answer.text)
    }

    #[test]
    fn outcomes_read_as_sentences() {
        let applied =
            |name: &str| json!({ "name": name, "health": "live", "state": "applied", "ignored": [] });
        let mut document = json!({
            "generation": 4, "unchanged": false, "converged": true, "duration_ms": 80,
            "changes": [{ "key": "drain.delay_ms", "from": null, "to": 500 }],
            "receipts": [applied("a"), applied("b"), { "name": "c", "health": "lost", "state": "pending" }],
        });
        assert_eq!(
            said(document.clone()),
            "generation 4 holds on 2 nodes (80 ms)\n  drain.delay_ms: - -> 500"
        );
        document["receipts"][1]["ignored"] = json!(["log.colour"]);
        document["receipts"][1]["detail"] = json!("log.colour: this version does not know the key");
        assert!(
            said(document.clone())
                .ends_with("\n  b: applied: log.colour: this version does not know the key")
        );

        document["converged"] = json!(false);
        document["receipts"][0]["state"] = json!("pending");
        let failure = answer(document).unwrap_err();
        assert_eq!(failure.exit, Exit::NotConverged);
        assert_eq!(
            failure.text(),
            "error: generation 4 is stored, but does not hold on every node after 80 ms\n  a: has not applied it yet\n  b: applied: log.colour: this version does not know the key\n  c: lost\n  `typecase settings receipts` shows what becomes of it"
        );
    }
}
