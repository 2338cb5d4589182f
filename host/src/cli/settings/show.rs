//! How settings, their history and their differences look.

use serde::Deserialize;
use serde_json::Value;

use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::{rollout, text};

/// What fits beside the other columns on a line of 100.
const VALUE_CHARS_MAX: usize = 48;

#[derive(Debug, Deserialize)]
struct Settings {
    generation: u64,
    #[serde(default)]
    changed_by: String,
    #[serde(default)]
    created_unix_ms: i64,
    #[serde(default)]
    effective: Vec<Effective>,
    #[serde(default)]
    settings: serde_json::Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Effective {
    key: String,
    value: Value,
    #[serde(default)]
    origin: String,
}

pub fn list(document: Value) -> Result<Answer, Failure> {
    let Settings { generation, changed_by, created_unix_ms, effective, settings } =
        rollout::parse(&document)?;
    let mut rows: Vec<Vec<String>> = effective
        .iter()
        .map(|effective| vec![effective.key.clone(), value(Some(&effective.value)), effective.origin.clone()])
        .collect();
    // Set by a newer version than that of the node that was asked.
    for (key, set) in &settings {
        if effective.iter().all(|effective| effective.key != *key) {
            rows.push(vec![key.clone(), value(Some(set)), "unknown here".to_owned()]);
        }
    }
    let mut text = text::table(&["KEY", "VALUE", "FROM"], rows);
    if generation > 0 {
        let when = text::ago(created_unix_ms, text::now_unix_ms());
        text.push_str(&format!("\n\ngeneration {generation}, by {changed_by}, {when}"));
    }
    Ok(Answer::done(document, text))
}

#[derive(Debug, Deserialize)]
struct History {
    history: Vec<PastChange>,
}

#[derive(Debug, Deserialize)]
struct PastChange {
    generation: u64,
    changed_by: String,
    note: String,
    created_unix_ms: i64,
    changes: Option<Vec<Difference>>,
}

#[derive(Debug, Deserialize)]
pub struct Difference {
    key: String,
    from: Option<Value>,
    to: Option<Value>,
}

pub fn history(document: Value) -> Result<Answer, Failure> {
    let History { history } = rollout::parse(&document)?;
    let now = text::now_unix_ms();
    let rows = history.into_iter().map(|change| {
        let changes = change.changes.map(|changes| changes.iter().map(|c| c.key.clone()).collect::<Vec<_>>());
        vec![
            change.generation.to_string(),
            text::ago(change.created_unix_ms, now),
            change.changed_by,
            text::or_dash(changes.map(|keys| text::brief(&keys.join(", "), VALUE_CHARS_MAX))),
            text::brief(&change.note, VALUE_CHARS_MAX),
        ]
    });
    let table = text::table(&["GENERATION", "CHANGED", "BY", "KEYS", "NOTE"], rows.collect());
    Ok(Answer::done(document, table))
}

#[derive(Debug, Deserialize)]
struct Diff {
    from: u64,
    to: u64,
    changes: Vec<Difference>,
}

pub fn diff(document: Value) -> Result<Answer, Failure> {
    let Diff { from, to, changes } = rollout::parse(&document)?;
    let text = match changes.is_empty() {
        true => format!("generations {from} and {to} are the same"),
        false => format!("from generation {from} to {to}{}", lines(&changes)),
    };
    Ok(Answer::done(document, text))
}

/// One indented line a key.
pub fn lines(changes: &[Difference]) -> String {
    let line = |change: &Difference| {
        format!("\n  {}: {} -> {}", change.key, value(change.from.as_ref()), value(change.to.as_ref()))
    };
    changes.iter().map(line).collect()
}

/// As it is typed after `KEY=`; what is not set is a dash.
fn value(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.is_empty() => "none".to_owned(),
        Some(Value::Array(items)) => {
            let items: Vec<String> = items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect();
            items.join(",")
        }
        Some(other) => other.to_string(),
    }
}
