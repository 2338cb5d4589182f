//! Reads typed keys out of the merged sources and remembers every problem on the way.
//!
//! serde would stop at the first problem; here each key falls back to its default after its problem
//! was noted, so the rest is checked too. Keys that nobody asked for are problems at the end.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use config::{Value, ValueKind};

/// A value in a message is repeated up to this many characters.
const SHOWN_CHARS_MAX: usize = 80;

/// A key that was asked for, with its default as the reference shows it.
#[derive(Debug)]
pub struct KnownKey {
    pub section: &'static str,
    pub key: String,
    #[cfg_attr(not(test), allow(dead_code, reason = "read by the test that keeps the reference in step"))]
    pub default: String,
}

#[derive(Debug)]
pub struct Reader {
    /// The file as the user named it; `config` shortens paths in its own way.
    file: String,
    sections: HashMap<String, Value>,
    problems: Vec<String>,
    known: Vec<KnownKey>,
    sections_known: Vec<&'static str>,
}

impl Reader {
    pub fn new(root: Value, file: String) -> Self {
        let sections = match root.kind {
            ValueKind::Table(table) => table,
            _ => HashMap::new(),
        };
        Self { file, sections, problems: Vec::new(), known: Vec::new(), sections_known: Vec::new() }
    }

    pub fn section(&mut self, name: &'static str) -> Section<'_> {
        self.sections_known.push(name);
        let values = match self.sections.remove(name) {
            None => HashMap::new(),
            Some(Value { kind: ValueKind::Table(table), .. }) => table,
            Some(value) => {
                let place = place(name, &value, &self.file);
                self.problems
                    .push(format!("{place}: must be a section: write `[{name}]` and its keys below it"));
                HashMap::new()
            }
        };
        Section { name, values, reader: self }
    }

    /// Whether somebody has set any of a section's keys.
    pub fn has_section(&self, name: &str) -> bool {
        self.sections.contains_key(name)
    }

    /// Notes a problem when a section is present that this version must not have.
    pub fn refuse(&mut self, name: &str, why: &str) {
        if self.sections.remove(name).is_some() {
            self.problem(format!("[{name}]: {why}"));
        }
    }

    pub fn problem(&mut self, text: String) {
        self.problems.push(text);
    }

    #[cfg(test)]
    pub fn known(&self) -> &[KnownKey] {
        &self.known
    }

    /// The problems found, with those of sections that nobody asked for.
    pub fn finish(mut self) -> Vec<String> {
        let mut left: Vec<_> = self.sections.iter().collect();
        left.sort_by_key(|(name, _)| name.as_str());
        for (name, value) in left {
            let sections: Vec<_> = self.sections_known.iter().map(|name| format!("[{name}]")).collect();
            let what = match value.kind {
                ValueKind::Table(_) => format!("[{name}]: unknown section"),
                _ => format!("{}: unknown key outside of a section", place(name, value, &self.file)),
            };
            self.problems.push(format!("{what}: the sections are {}", sections.join(", ")));
        }
        self.problems
    }
}

/// One section; dropping it reports the keys that were not asked for.
#[derive(Debug)]
pub struct Section<'a> {
    name: &'static str,
    values: HashMap<String, Value>,
    reader: &'a mut Reader,
}

impl Section<'_> {
    /// A whole number within a range; the range is the limit that every number from outside needs.
    pub fn number(&mut self, key: &str, default: u32, range: RangeInclusive<u32>) -> u32 {
        let Some(value) = self.take(key, default) else { return default };
        let number = match &value.kind {
            ValueKind::I64(number) => Some(*number),
            ValueKind::String(text) if !from_file(&value) => text.trim().parse().ok(),
            _ => None,
        };
        match number.and_then(|number| u32::try_from(number).ok()).filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                let expected = format!("a whole number from {} to {}", range.start(), range.end());
                self.mismatch(key, &value, &expected);
                default
            }
        }
    }

    pub fn text(&mut self, key: &str, default: &str) -> String {
        self.text_or_none(key, default).unwrap_or_else(|| default.to_owned())
    }

    /// Text that may be left out; `default_shown` is what the reference says happens then.
    pub fn text_or_none(&mut self, key: &str, default_shown: &str) -> Option<String> {
        let value = self.take(key, default_shown)?;
        match &value.kind {
            ValueKind::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            _ => {
                self.mismatch(key, &value, "text that is not empty");
                None
            }
        }
    }

    pub fn address(&mut self, key: &str, default: SocketAddr) -> SocketAddr {
        let Some(value) = self.take(key, default) else { return default };
        let parsed = match &value.kind {
            ValueKind::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        parsed.unwrap_or_else(|| {
            self.mismatch(key, &value, &format!("an IP address and a port, such as \"{default}\""));
            default
        })
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, key: &str, default: &str, choices: &[(&str, T)], fallback: T) -> T {
        let Some(value) = self.take(key, default) else { return fallback };
        let chosen = match &value.kind {
            ValueKind::String(text) => choices.iter().find(|(word, _)| *word == text.trim()),
            _ => None,
        };
        match chosen {
            Some((_, choice)) => *choice,
            None => {
                let words: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                self.mismatch(key, &value, &format!("one of {}", words.join(", ")));
                fallback
            }
        }
    }

    /// A list of texts; in the environment they are separated by commas.
    pub fn list(&mut self, key: &str) -> Vec<String> {
        let Some(value) = self.take(key, "[]") else { return Vec::new() };
        match &value.kind {
            ValueKind::String(text) if !from_file(&value) => {
                text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
            }
            ValueKind::Array(items) => {
                let texts: Vec<_> = items
                    .iter()
                    .filter_map(|item| match &item.kind {
                        ValueKind::String(text) => Some(text.trim().to_owned()),
                        _ => None,
                    })
                    .collect();
                if texts.len() != items.len() {
                    self.mismatch(key, &value, "a list of texts, such as [\"a\", \"b\"]");
                }
                texts
            }
            _ => {
                self.mismatch(key, &value, "a list of texts, such as [\"a\", \"b\"]");
                Vec::new()
            }
        }
    }

    /// A problem that concerns a key but not its form.
    pub fn problem(&mut self, key: &str, text: &str) {
        self.reader.problem(format!("{}.{key}: {text}", self.name));
    }

    fn take(&mut self, key: &str, default: impl Display) -> Option<Value> {
        self.reader.known.push(KnownKey {
            section: self.name,
            key: key.to_owned(),
            default: default.to_string(),
        });
        self.values.remove(key)
    }

    fn mismatch(&mut self, key: &str, value: &Value, expected: &str) {
        let place = place(&format!("{}.{key}", self.name), value, &self.reader.file);
        self.reader.problem(format!("{place}: {} is not {expected}", shown(value)));
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        let mut left: Vec<_> = self.values.drain().collect();
        left.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (key, value) in left {
            let known: Vec<_> = self
                .reader
                .known
                .iter()
                .filter(|known| known.section == self.name)
                .map(|known| known.key.as_str())
                .collect();
            let place = place(&format!("{}.{key}", self.name), &value, &self.reader.file);
            let problem = format!("{place}: unknown key: [{}] has {}", self.name, known.join(", "));
            self.reader.problem(problem);
        }
    }
}

/// `config` gives values from files their path, those from the environment this text, and overrides nothing.
const ORIGIN_ENVIRONMENT: &str = "the environment";

fn from_file(value: &Value) -> bool {
    value.origin().is_some_and(|origin| origin != ORIGIN_ENVIRONMENT)
}

/// Names a key the way it was set, so that it can be found.
fn place(key: &str, value: &Value, file: &str) -> String {
    match (value.origin(), key.split_once('.')) {
        (Some(ORIGIN_ENVIRONMENT), _) => format!("TYPECASE_{}", key.replace('.', "__").to_uppercase()),
        (Some(_), _) => format!("{key} in {file}"),
        (None, Some((_, flag))) => format!("--{flag}"),
        (None, None) => key.to_owned(),
    }
}

fn shown(value: &Value) -> String {
    let text = match &value.kind {
        ValueKind::Table(_) => return "a section".to_owned(),
        ValueKind::Array(_) => return "this list".to_owned(),
        ValueKind::String(text) => format!("\"{text}\""),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
