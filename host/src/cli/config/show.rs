//! How an app's config and the outcome of its changes look.

use serde::Deserialize;
use serde_json::Value;

use super::super::answer::Answer;
use super::super::failure::{Exit, Failure};
use super::super::{rollout, text};

/// What fits beside the other columns on a line of 100.
const VALUE_CHARS_MAX: usize = 48;

#[derive(Debug, Deserialize)]
struct Config {
    app: String,
    generation: u64,
    release: Option<u32>,
    config: Vec<Key>,
    converged: bool,
    #[serde(default)]
    receipts: Vec<Receipt>,
}

#[derive(Debug, Deserialize)]
struct Key {
    name: String,
    value: Option<String>,
    secret: bool,
    origin: String,
    declared: bool,
    #[serde(default)]
    required: bool,
    updated_unix_ms: Option<i64>,
    problem: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Receipt {
    name: String,
    health: String,
    state: String,
    detail: Option<String>,
}

pub fn list(document: Value) -> Result<Answer, Failure> {
    let Config { app, generation, release, config, converged, receipts } = rollout::parse(&document)?;
    let now = text::now_unix_ms();
    let rows = config.iter().map(|key| {
        let value = match (&key.problem, &key.value) {
            (Some(problem), _) => problem.clone(),
            (None, Some(value)) => text::brief(value, VALUE_CHARS_MAX),
            (None, None) if key.origin == "set" => "(secret)".to_owned(),
            (None, None) => "-".to_owned(),
        };
        let origin = match (&*key.origin, key.required, key.declared) {
            ("missing", true, _) => "missing, required".to_owned(),
            (origin, _, false) => format!("{origin}, not declared"),
            (origin, ..) => origin.to_owned(),
        };
        let secret = if key.secret { "yes" } else { "no" };
        let changed = text::or_dash(key.updated_unix_ms.map(|then| text::ago(then, now)));
        vec![key.name.clone(), value, origin, secret.to_owned(), changed]
    });
    let mut shown = match config.is_empty() {
        true => format!("`{app}` declares no keys in [config], and none are set"),
        false => text::table(&["NAME", "VALUE", "FROM", "SECRET", "CHANGED"], rows.collect()),
    };
    let of = match release {
        Some(release) => format!("as release {release} declares it"),
        None => "for the first release".to_owned(),
    };
    shown.push_str(&format!("\n\ngeneration {generation}, {of}"));
    if !converged {
        shown.push_str(&nodes(&receipts));
    }
    Ok(Answer::done(document, shown))
}

#[derive(Debug, Deserialize)]
struct Changed {
    app: String,
    generation: u64,
    unchanged: bool,
    changes: Vec<Change>,
    #[serde(default)]
    warnings: Vec<String>,
    converged: bool,
    #[serde(default)]
    receipts: Vec<Receipt>,
    #[serde(default)]
    duration_ms: u64,
}

#[derive(Debug, Deserialize)]
struct Change {
    name: String,
    change: String,
    secret: bool,
}

/// Turns the server's document into an answer; values that not every live node has are a failure.
pub fn outcome(document: Value) -> Result<Answer, Failure> {
    let Changed { app, generation, unchanged, changes, warnings, converged, receipts, duration_ms } =
        rollout::parse(&document)?;
    let took = text::duration(duration_ms);
    if !converged {
        let detail = format!(
            "generation {generation} of the config of `{app}` is stored, but the app does not see it on every node after {took}{}",
            nodes(&receipts)
        );
        let mut failure = Failure::local(Exit::NotConverged, "not-converged", detail);
        for field in ["app", "generation", "changes", "warnings", "converged"] {
            failure.document[field] = document[field].clone();
        }
        failure.document["nodes"] = document["receipts"].clone();
        return Err(failure.advise(format!("`typecase config {app}` shows what becomes of it")));
    }
    let live = receipts.iter().filter(|receipt| receipt.health == "live").count();
    let mut shown = match (unchanged, live) {
        (true, _) => format!("nothing changed: generation {generation} says so already"),
        (false, 0) => format!("generation {generation} is stored; `{app}` sees it when it is published"),
        (false, _) => {
            format!("`{app}` sees generation {generation} on {} ({took})", text::count(live, "node"))
        }
    };
    for Change { name, change, secret } in changes {
        let secret = if secret { " (secret)" } else { "" };
        shown.push_str(&format!("\n  {name}: {change}{secret}"));
    }
    for warning in warnings {
        shown.push_str(&format!("\n  warning: {warning}"));
    }
    Ok(Answer::done(document, shown))
}

/// One line for each node that does not have the values.
fn nodes(receipts: &[Receipt]) -> String {
    let line = |receipt: &Receipt| {
        let Receipt { name, health, state, detail } = receipt;
        let state = match (health.as_str(), state.as_str()) {
            ("lost", _) => "lost",
            (_, "pending") => "has not applied it yet",
            (_, state) => state,
        };
        let detail = detail.as_ref().map(|detail| format!(": {}", detail.trim_end().replace('\n', "\n    ")));
        format!("\n  {name}: {state}{}", detail.unwrap_or_default())
    };
    receipts.iter().filter(|receipt| receipt.state != "applied").map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_show_no_secret_and_say_what_is_missing() {
        let key = |name: &str, value: Value, secret: bool, origin: &str| json!({ "name": name, "value": value, "secret": secret, "origin": origin, "declared": true, "required": true });
        let document = json!({
            "app": "shop", "generation": 4, "release": 2, "converged": true,
            "config": [
                key("greeting", json!("hi\nthere"), false, "default"),
                key("token", Value::Null, true, "set"),
                key("url", Value::Null, false, "missing"),
            ],
        });
        let shown = list(document).unwrap().text;
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["greeting", "hi", "default", "no", "-"]);
        assert_eq!(lines[2], ["token", "(secret)", "set", "yes", "-"]);
        assert_eq!(lines[3], ["url", "-", "missing,", "required", "no", "-"]);
    }

    #[test]
    fn outcomes_read_as_sentences() {
        let mut document = json!({
            "app": "shop", "generation": 4, "unchanged": false, "converged": true, "duration_ms": 80,
            "changes": [{ "name": "token", "change": "set", "secret": true }], "warnings": ["a: not declared"],
            "receipts": [{ "name": "a", "health": "live", "state": "applied", "detail": null }],
        });
        assert_eq!(
            outcome(document.clone()).unwrap().text,
            "`shop` sees generation 4 on 1 node (80 ms)\n  token: set (secret)\n  warning: a: not declared"
        );
        document["converged"] = json!(false);
        document["receipts"][0]["state"] = json!("pending");
        let failure = outcome(document).unwrap_err();
        assert_eq!(failure.exit, Exit::NotConverged);
        assert!(failure.text().contains("\n  a: has not applied it yet\n"), "{}", failure.text());
    }
}
