//! Reads a document leniently and notes what is wrong where.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::manifest::parse::{self, Problem};
use crate::manifest::rules::Place;

pub(super) struct Reader<'t> {
    text: &'t str,
    root: &'t DeTable<'t>,
    problems: Vec<Problem>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str, root: &'t DeTable<'t>) -> Self {
        Self { text, root, problems: Vec::new() }
    }

    /// Notes a problem with the value that these keys lead to.
    pub(super) fn at(&mut self, path: &[&str], message: impl Into<String>) {
        self.note(path, false, message.into());
    }

    /// Notes a problem with the last of these keys itself.
    pub(super) fn key(&mut self, path: &[&str], message: impl Into<String>) {
        self.note(path, true, message.into());
    }

    fn note(&mut self, path: &[&str], is_key: bool, message: String) {
        let place = Place { path: path.iter().map(|&step| step.to_owned()).collect(), is_key };
        let (span, _) = parse::locate(self.root, &place);
        self.problems.push(parse::problem(self.text, span, message));
    }

    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        self.problems
    }
}

pub(super) fn table<'v, 't>(value: &'v Spanned<DeValue<'t>>) -> Option<&'v DeTable<'t>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

/// The items of a list; of anything else none.
pub(super) fn list<'v, 't>(value: &'v Spanned<DeValue<'t>>) -> &'v [Spanned<DeValue<'t>>] {
    match value.get_ref() {
        DeValue::Array(list) => list,
        _ => &[],
    }
}

pub(super) fn string<'v>(value: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
    match value.get_ref() {
        DeValue::String(text) => Some(text),
        _ => None,
    }
}

/// As it was written.
pub(super) fn integer<'v>(value: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
    match value.get_ref() {
        DeValue::Integer(number) => Some(number.as_str()),
        _ => None,
    }
}

pub(super) fn is_true(value: &Spanned<DeValue<'_>>) -> bool {
    matches!(value.get_ref(), DeValue::Boolean(true))
}

/// Whether a list or table asks for anything, or a switch is on.
pub(super) fn asks(value: &Spanned<DeValue<'_>>) -> bool {
    match value.get_ref() {
        DeValue::Array(list) => !list.is_empty(),
        DeValue::Table(table) => !table.is_empty(),
        DeValue::Boolean(is_on) => *is_on,
        _ => true,
    }
}
