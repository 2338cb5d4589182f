//! What differs between two documents.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Settings;

/// One key whose value differs; none where the key is not set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    pub key: String,
    pub from: Option<Value>,
    pub to: Option<Value>,
}

/// Every key in which the documents differ, by name.
pub fn differences(from: &Settings, to: &Settings) -> Vec<Difference> {
    let mut keys: BTreeMap<&str, (Option<Value>, Option<Value>)> = BTreeMap::new();
    for (key, value) in from.entries() {
        keys.entry(key).or_default().0 = Some(value);
    }
    for (key, value) in to.entries() {
        keys.entry(key).or_default().1 = Some(value);
    }
    keys.into_iter()
        .filter(|(_, (from, to))| from != to)
        .map(|(key, (from, to))| Difference { key: key.to_owned(), from, to })
        .collect()
}
