//! An entry as it is kept: one JSON object on a line of its own, and what filters ask about beside it.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use typecase_model::{EntryLevel, LogEntry};

#[derive(Debug)]
pub struct Record {
    /// Unix time in microseconds; later entries of one node have later times.
    pub time_us: i64,
    pub level: EntryLevel,
    pub release: u32,
    pub request_id: Box<str>,
    /// The JSON object and a line end.
    pub line: Bytes,
}

/// The object; its names are the ones of all our logs.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: EntryLevel,
    #[serde(rename = "app.name")]
    app: &'a str,
    #[serde(rename = "release.number")]
    release: u32,
    #[serde(rename = "request.id", skip_serializing_if = "str::is_empty")]
    request_id: &'a str,
    #[serde(rename = "node.name")]
    node: &'a str,
    source: &'static str,
    #[serde(rename = "error.code", skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a str>,
    message: &'a str,
}

/// What is read back of a line.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    level: EntryLevel,
    #[serde(rename = "release.number")]
    release: u32,
    #[serde(borrow, default, rename = "request.id")]
    request_id: Cow<'a, str>,
}

impl Record {
    pub fn of(entry: &LogEntry, node: &str) -> Self {
        let line = Line {
            time: shown_time(entry.time_us),
            level: entry.level,
            app: entry.app.as_str(),
            release: entry.release,
            request_id: &entry.request_id,
            node,
            source: entry.source.as_str(),
            error_code: entry.error_code,
            context: entry.context.as_deref(),
            message: &entry.message,
        };
        // Texts and numbers always have a form in JSON.
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        Self {
            time_us: entry.time_us,
            level: entry.level,
            release: entry.release,
            request_id: (&*entry.request_id).into(),
            line: bytes.into(),
        }
    }

    /// Reads a line of a file or of another node; none for what is damaged, or no entry.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let head: Head<'_> = serde_json::from_slice(line).ok()?;
        let time_us = parse_time(&head.time)?;
        let mut bytes = line.to_vec();
        bytes.push(b'\n');
        let Head { level, release, request_id, .. } = head;
        Some(Self { time_us, level, release, request_id: (&*request_id).into(), line: bytes.into() })
    }

    #[cfg(test)]
    pub fn for_test(time_us: i64, message: &str) -> Self {
        let entry = LogEntry {
            time_us,
            level: EntryLevel::Info,
            source: typecase_model::EntrySource::Stdout,
            app: "shop".parse().expect("a name"),
            release: 1,
            request_id: "0123456789".into(),
            message: message.to_owned(),
            context: None,
            error_code: None,
        };
        Self::of(&entry, "node-a")
    }
}

/// RFC 3339 in UTC with microseconds, so that times compare as texts too.
pub fn shown_time(time_us: i64) -> String {
    let time = Timestamp::from_microsecond(time_us).unwrap_or_default();
    format!("{time:.6}")
}

pub fn parse_time(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let record = Record::for_test(1_795_369_875_281_148, "two\nlines \"quoted\"");
        assert_eq!(
            std::str::from_utf8(&record.line).unwrap(),
            "{\"time\":\"2026-11-22T17:51:15.281148Z\",\"level\":\"info\",\"app.name\":\"shop\",\"release.number\":1,\
             \"request.id\":\"0123456789\",\"node.name\":\"node-a\",\"source\":\"stdout\",\
             \"message\":\"two\\nlines \\\"quoted\\\"\"}\n"
        );
        let line = record.line.strip_suffix(b"\n").unwrap();
        let read = Record::parse(line).unwrap();
        assert_eq!((read.time_us, read.level, read.release), (record.time_us, record.level, 1));
        assert_eq!((read.request_id, read.line), (record.request_id, record.line.clone()));
        for damaged in [&line[..line.len() - 1], b"", b"{}", b"{\"notice\":\"live\"}"] {
            assert!(Record::parse(damaged).is_none());
        }
    }
}
