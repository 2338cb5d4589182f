//! From text to a checked [`Manifest`], with errors that show the place.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::rules::{self, Place};
use super::{MANIFEST_VERSION, Manifest, words};

/// A manifest is written by hand; a longer text is a mistake or an attack.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024;

/// Lines are shown in errors up to this length, so that a hostile text cannot flood a terminal.
const LINE_CHARS_MAX: usize = 160;
/// Nobody reads more at once, and each takes another look at the whole text.
const PROBLEMS_MAX: usize = 20;

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
    let refuse = |mut problems: Vec<Problem>| {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        Err(ManifestError { file: file.to_owned(), problems })
    };
    if text.len() > MANIFEST_BYTES_MAX {
        return refuse(vec![too_long(text)]);
    }
    let from_toml = |error: &toml::de::Error| {
        let span = error.span().unwrap_or(0..0);
        problem(text, span, words::of(error.message()))
    };
    let mut table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => return refuse(vec![from_toml(&error)]),
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
    let mut problems = Vec::new();
    let manifest = loop {
        let error = match Manifest::deserialize(toml::de::Deserializer::from(table.clone())) {
            Ok(manifest) => break manifest,
            Err(error) => error,
        };
        let is_missing = error.message().starts_with("missing field");
        // What is missing after a wrong value was taken out is there: it is the wrong value.
        if !is_missing || problems.is_empty() {
            problems.push(from_toml(&error));
        }
        // Read on without what was wrong: the author shall hear of everything at once.
        let taken_out = error.span().is_some_and(|span| !is_missing && take_out(table.get_mut(), &span));
        if !taken_out || problems.len() == PROBLEMS_MAX {
            return refuse(problems);
        }
    };
    let is_whole = problems.is_empty();
    for broken in rules::broken(&manifest) {
        let (span, is_table) = locate(table.get_ref(), &broken.place);
        // A section that lacks something may have lost it just now.
        if is_whole || !is_table {
            problems.push(problem(text, span, broken.message));
        }
    }
    if problems.is_empty() { Ok(manifest) } else { refuse(problems) }
}

pub(super) fn too_long(text: &str) -> Problem {
    let message =
        format!("the manifest has {} bytes, more than the {MANIFEST_BYTES_MAX} that are allowed", text.len());
    problem(text, 0..0, message)
}

/// What a well-formed manifest asks for and does not get, shown where it asks.
pub(super) fn refused(text: &str, file: &str, findings: &[(Vec<String>, String)]) -> ManifestError {
    let table = DeTable::parse(text).ok();
    let problems = findings.iter().map(|(path, message)| {
        let place = Place { path: path.clone(), is_key: false };
        let span = table.as_ref().map_or(0..0, |table| locate(table.get_ref(), &place).0);
        problem(text, span, message.clone())
    });
    ManifestError { file: file.to_owned(), problems: problems.collect() }
}

/// Removes the entry whose key or value stands here; false when there is none, as for a list's item.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    let here = table.iter().find(|(key, value)| key.span() == *span || value.span() == *span);
    if let Some(key) = here.map(|(key, _)| key.get_ref().to_string()) {
        return table.remove(key.as_str()).is_some();
    }
    table.iter_mut().any(|(_, value)| match value.get_mut() {
        DeValue::Table(table) => take_out(table, span),
        DeValue::Array(list) => list.iter_mut().any(|item| match item.get_mut() {
            DeValue::Table(table) => take_out(table, span),
            _ => false,
        }),
        _ => false,
    })
}

/// Finds where a rule was broken, and whether that is a whole table; what is absent is shown at the nearest
/// table that is there.
pub(super) fn locate(root: &DeTable<'_>, place: &Place) -> (Range<usize>, bool) {
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
    (span, matches!(at, None | Some(DeValue::Table(_))))
}

pub(super) fn problem(text: &str, span: Range<usize>, message: String) -> Problem {
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
