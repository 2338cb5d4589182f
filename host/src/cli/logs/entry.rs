//! A line of the API's answer.

use serde::Deserialize;
use typecase_model::EntryLevel;

/// Each keeps what the server sent, for `--json`.
#[derive(Debug)]
pub enum Line {
    Entry(Box<Entry>, String),
    /// What is missing, as a sentence.
    Notice(String, String),
    /// What follows is new.
    Live,
}

#[derive(Debug, Deserialize)]
pub struct Entry {
    /// RFC 3339, in UTC.
    pub time: String,
    pub level: EntryLevel,
    #[serde(rename = "release.number")]
    pub release: u32,
    #[serde(default, rename = "request.id")]
    pub request_id: String,
    #[serde(default, rename = "node.name")]
    pub node: String,
    /// `stdout`, `stderr`, `logging` or `host`.
    #[serde(default)]
    pub source: String,
    pub context: Option<String>,
    pub message: String,
}

#[derive(Debug, Deserialize)]
struct Notice {
    notice: String,
    #[serde(default)]
    message: String,
}

impl Line {
    pub fn parse(text: String) -> Self {
        if let Ok(entry) = serde_json::from_str(&text) {
            return Self::Entry(entry, text);
        }
        match serde_json::from_str::<Notice>(&text) {
            Ok(notice) if notice.notice == "live" => Self::Live,
            Ok(notice) if !notice.message.is_empty() => Self::Notice(notice.message, text),
            // Of a newer server: better shown than lost.
            _ => Self::Notice(text.clone(), text),
        }
    }
}
