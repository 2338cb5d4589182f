//! Every key that can be set, with what it takes.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Nobody balances through more networks; each is compared with every request's peer.
const LIST_ITEMS_MAX: usize = 256;
/// Directives of a log level are the longest texts.
const TEXT_CHARS_MAX: usize = 1_000;
/// A wrong value is repeated in messages up to here.
const SHOWN_CHARS_MAX: usize = 80;

const MINUTE_MS: u32 = 60_000;
const HOUR_MS: u32 = 60 * MINUTE_MS;

/// One key; where the configuration of a node has the same one, it means the same and takes the same values.
#[derive(Debug, Clone, Copy)]
pub struct SettingKey {
    pub name: &'static str,
    pub kind: Kind,
    /// A sentence for whoever looks at the list.
    pub meaning: &'static str,
}

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Number {
        min: u32,
        max: u32,
    },
    /// Whether the text makes sense is judged where it is used.
    Text,
    List,
}

/// The value of a key, in the form that its kind has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SettingValue {
    Number(u32),
    Text(String),
    List(Vec<String>),
}

/// By section, in the order of the reference.
pub const SETTING_KEYS: [SettingKey; 23] = [
    text(
        "log.level",
        "`error`, `warn`, `info`, `debug` or `trace`, or directives such as `info,typecase=debug`.",
    ),
    number(
        "drain.delay_ms",
        0,
        10 * MINUTE_MS,
        "How long a node that stops goes on serving while it is not ready.",
    ),
    number("drain.grace_ms", 0, HOUR_MS, "How long requests in flight may take after that."),
    list(
        "ingress.trusted_proxies",
        "Addresses or networks of balancers whose `X-Forwarded-*` headers are believed.",
    ),
    // A 32-bit memory cannot be larger.
    number(
        "limits.default_memory_mb",
        1,
        4_096,
        "Memory of one instance, unless the app's manifest says otherwise.",
    ),
    number("limits.max_memory_mb", 1, 4_096, "The most that a manifest may ask for."),
    number(
        "limits.default_timeout_ms",
        1,
        24 * HOUR_MS,
        "Wall time until a response's headers, and then between two pieces of its body.",
    ),
    number("limits.max_timeout_ms", 1, 24 * HOUR_MS, "The most that a manifest may ask for."),
    number("limits.default_cpu_ms", 1, HOUR_MS, "Time one request may compute; waiting does not count."),
    number("limits.max_cpu_ms", 1, HOUR_MS, "The most that a manifest may ask for."),
    number("limits.default_concurrency", 1, 10_000, "Requests of one app that run at once on one node."),
    number("limits.max_concurrency", 1, 10_000, "The most that a manifest may ask for."),
    number("limits.default_queue", 1, 1_000_000, "Requests of one app that wait for their turn on one node."),
    number("limits.max_queue", 1, 1_000_000, "The most that a manifest may ask for."),
    number("limits.default_body_mb", 1, 1 << 20, "Size of a request's body."),
    number("limits.max_body_mb", 1, 1 << 20, "The most that a manifest may ask for."),
    number(
        "limits.default_reuse",
        1,
        1_000_000_000,
        "Requests that one instance serves before it is dropped.",
    ),
    number("limits.max_reuse", 1, 1_000_000_000, "The most that a manifest may ask for."),
    number("limits.bundle_mb", 1, 4_096, "Size of an uploaded bundle."),
    number("limits.rollout_timeout_ms", 1_000, HOUR_MS, "Time that all nodes have to prepare a release."),
    number(
        "rollout.share_percent",
        1,
        100,
        "Share of the live nodes that must have prepared a release before it becomes active.",
    ),
    // Below two there is nothing to roll back to.
    number("retention.releases", 2, 10_000, "Releases of an app that are kept to be rolled back to."),
    number(
        "retention.age_days",
        0,
        36_500,
        "Releases that have not served for so long are removed, though fewer are kept; 0 is no limit.",
    ),
];

const fn number(name: &'static str, min: u32, max: u32, meaning: &'static str) -> SettingKey {
    SettingKey { name, kind: Kind::Number { min, max }, meaning }
}

const fn text(name: &'static str, meaning: &'static str) -> SettingKey {
    SettingKey { name, kind: Kind::Text, meaning }
}

const fn list(name: &'static str, meaning: &'static str) -> SettingKey {
    SettingKey { name, kind: Kind::List, meaning }
}

impl SettingKey {
    pub fn find(name: &str) -> Option<&'static Self> {
        SETTING_KEYS.iter().find(|key| key.name == name)
    }

    /// Reads a value in its own form, or in the text that a command line has: numbers as digits, lists with commas.
    pub fn read(&self, value: &Value) -> Result<SettingValue, String> {
        let read = match (self.kind, value) {
            (Kind::Number { .. }, Value::Number(_) | Value::String(_)) => self.read_number(value),
            (Kind::Text, Value::String(text)) => {
                let text = text.trim();
                let fits = !text.is_empty() && text.chars().count() <= TEXT_CHARS_MAX;
                fits.then(|| SettingValue::Text(text.to_owned()))
            }
            (Kind::List, Value::String(text)) => {
                read_list(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Some))
            }
            (Kind::List, Value::Array(items)) => {
                read_list(items.iter().map(|item| item.as_str().map(str::trim)))
            }
            _ => None,
        };
        read.ok_or_else(|| format!("{}: {} is not {}", self.name, shown(value), self.kind))
    }

    fn read_number(&self, value: &Value) -> Option<SettingValue> {
        let Kind::Number { min, max } = self.kind else { return None };
        let number = match value {
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_u64(),
        };
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.filter(|number| (min..=max).contains(number)).map(SettingValue::Number)
    }
}

fn read_list<'a>(items: impl Iterator<Item = Option<&'a str>>) -> Option<SettingValue> {
    let items: Option<Vec<String>> = items
        .take(LIST_ITEMS_MAX + 1)
        .map(|item| item.filter(|item| (1..=TEXT_CHARS_MAX).contains(&item.len())).map(str::to_owned))
        .collect();
    items.filter(|items| items.len() <= LIST_ITEMS_MAX).map(SettingValue::List)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Text => write!(f, "text of 1 to {TEXT_CHARS_MAX} characters"),
            Self::List => write!(f, "a list of at most {LIST_ITEMS_MAX} texts"),
        }
    }
}

impl SettingValue {
    pub fn to_json(&self) -> Value {
        match self {
            Self::Number(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
            Self::List(items) => items.as_slice().into(),
        }
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
