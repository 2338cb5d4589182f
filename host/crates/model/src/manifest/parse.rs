//! From text to a checked [`Manifest`], with errors that show the place.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::rules::{self, Place};
use super::{MANIFEST_VERSION, Manifest};

/// A manifest is written by hand; a longer text is a mistake or an attack.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024;

/// Lines are shown in errors up to this length, so that a hostile text cannot flood a terminal.
const LINE_CHARS_MAX: usize = 160;

/// A manifest that was refused: everything that is known to be wrong with it, at least one problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestError {
    pub file: String,
    pub problems: Vec<Problem>,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// How many characters the caret underlines, at least 1.
    pub width: usize,
    /// The line itself.
    pub source: String,
    /// What is wrong and what to change.
    pub message: String,
}

impl std::error::Error for ManifestError {}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            let Problem { line, column, width, source, message } = problem;
            write!(f, "{}:{line}:{column}: {message}", self.file)?;
            if column + width <= LINE_CHARS_MAX {
                let number = line.to_string();
                let (gap, indent) = (" ".repeat(number.len()), " ".repeat(column - 1));
                let source: String = source.chars().take(LINE_CHARS_MAX).collect();
                write!(f, "\n{gap} |\n{number} | {source}\n{gap} | {indent}{}", "^".repeat(*width))?;
            }
        }
        Ok(())
    }
}

pub(super) fn parse(text: &str, file: &str) -> Result<Manifest, ManifestError> {
    let refuse = |problems| Err(ManifestError { file: file.to_owned(), problems });
    if text.len() > MANIFEST_BYTES_MAX {
        let message = format!(
            "the manifest has {} bytes, more than the {MANIFEST_BYTES_MAX} that are allowed",
            text.len()
        );
        return refuse(vec![problem(text, 0..0, message)]);
    }
    let from_toml = |error: toml::de::Error| {
        let span = error.span().unwrap_or(0..0);
        problem(text, span, with_suggestion(error.message()))
    };
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => return refuse(vec![from_toml(error)]),
    };
    // Judged first: in a manifest of another version, every other complaint would be misleading.
    if let Some(version) = table.get_ref().get("manifest_version")
        && let DeValue::Integer(number) = version.get_ref()
        && number.as_str() != MANIFEST_VERSION.to_string()
    {
        let message = format!(
            "manifest_version {} is unknown: this program understands {MANIFEST_VERSION}",
            number.as_str()
        );
        return refuse(vec![problem(text, version.span(), message)]);
    }
    let manifest = match Manifest::deserialize(toml::de::Deserializer::from(table.clone())) {
        Ok(manifest) => manifest,
        Err(error) => return refuse(vec![from_toml(error)]),
    };
    let problems: Vec<_> = rules::broken(&manifest)
        .into_iter()
        .map(|broken| problem(text, locate(table.get_ref(), &broken.place), broken.message))
        .collect();
    if problems.is_empty() { Ok(manifest) } else { refuse(problems) }
}

/// Finds where a rule was broken; what is absent is shown at the nearest table that is there.
fn locate(root: &DeTable<'_>, place: &Place) -> Range<usize> {
    let mut span = 0..0;
    let mut at: Option<&DeValue<'_>> = None;
    for (depth, step) in place.path.iter().enumerate() {
        let table = match at {
            None => Some(root),
            Some(DeValue::Table(table)) => Some(table),
            Some(_) => None,
        };
        let found = match (table, at) {
            (Some(table), _) => table.get_key_value(step.as_str()),
            (None, Some(DeValue::Array(list))) => {
                match step.parse().ok().and_then(|index: usize| list.get(index)) {
                    Some(value) => {
                        span = value.span();
                        at = Some(value.get_ref());
                        continue;
                    }
                    None => None,
                }
            }
            _ => None,
        };
        let Some((key, value)) = found else { break };
        let is_last = depth + 1 == place.path.len();
        span = if is_last && place.is_key { key.span() } else { value.span() };
        at = Some(value.get_ref());
    }
    span
}

fn problem(text: &str, span: Range<usize>, message: String) -> Problem {
    // toml's spans lie on character boundaries, but a wrong caret is better than a panic.
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.floor_char_boundary(span.end.clamp(start, text.len()));
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    Problem {
        line: text[..line_start].matches('\n').count() + 1,
        column: text[line_start..start].chars().count() + 1,
        width: text[start..end.min(line_end)].chars().count().max(1),
        // A tab or an escape sequence would move the caret, or the reader's terminal.
        source: text[line_start..line_end]
            .trim_end_matches('\r')
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect(),
        message,
    }
}

/// Adds the nearest known key to serde's list of keys that were expected.
fn with_suggestion(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return message.to_owned();
    };
    let Some((unknown, expected)) = rest.split_once("`, expected ") else {
        return message.to_owned();
    };
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let nearest = known
        .iter()
        .map(|key| (strsim::osa_distance(unknown, key), key))
        .filter(|(distance, key)| *distance <= 1 + key.len() / 3)
        .min();
    match nearest {
        Some((_, key)) => format!("unknown key `{unknown}`: did you mean `{key}`?"),
        None => format!("unknown key `{unknown}`; known here: {}", known.join(", ")),
    }
}
