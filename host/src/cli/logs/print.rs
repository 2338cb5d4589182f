//! How entries look: a line for people, with what belongs to it indented below; or the server's own JSON.

use std::io::{self, IsTerminal as _, Write};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use typecase_model::EntryLevel;

use super::entry::{Entry, Line};
use crate::cli::text::printable;

/// The end of a request's id tells requests apart, its beginning is the time.
const REQUEST_CHARS_SHOWN: usize = 8;

const DIM: &str = "2";
const RED: &str = "31";
const YELLOW: &str = "33";

pub struct Printer {
    json: bool,
    style: Style,
    printed: bool,
}

/// What all entries of an output have in common.
struct Style {
    colors: bool,
    zone: TimeZone,
    /// The first node that was seen, and whether there is another.
    node: Option<String>,
    several_nodes: bool,
}

impl Printer {
    pub fn new(json: bool) -> Self {
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colors = io::stdout().is_terminal() && !wants_none && !is_dumb;
        let style = Style { colors, zone: TimeZone::system(), node: None, several_nodes: false };
        Self { json, style, printed: false }
    }

    pub fn has_printed_nothing(&self) -> bool {
        !self.printed
    }

    /// False when nobody reads what is printed.
    pub fn print_all(&mut self, lines: &[Line]) -> bool {
        for line in lines {
            if let Line::Entry(entry, _) = line {
                self.style.see(&entry.node);
            }
        }
        let now = Zoned::now();
        let mut text = String::new();
        for line in lines {
            match line {
                Line::Live => {}
                Line::Entry(_, json) | Line::Notice(_, json) if self.json => {
                    text.push_str(json);
                    text.push('\n');
                }
                Line::Entry(entry, _) => {
                    text.push_str(&self.style.entry(entry, &now));
                    text.push('\n');
                }
                Line::Notice(message, _) => self.remark(message),
            }
            self.printed |= matches!(line, Line::Entry(..));
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_ok()
    }

    /// A sentence beside the output.
    pub fn remark(&self, text: &str) {
        let _ = writeln!(io::stderr(), "note: {}", printable(text));
    }

    /// The same, only for somebody who looks.
    pub fn hint(&self, text: &str) {
        if io::stderr().is_terminal() {
            self.remark(text);
        }
    }
}

impl Style {
    fn see(&mut self, node: &str) {
        match &self.node {
            None => self.node = Some(node.to_owned()),
            Some(first) => self.several_nodes |= first != node,
        }
    }

    fn entry(&self, entry: &Entry, now: &Zoned) -> String {
        let mut text = self.colored(DIM, &self.time(&entry.time, now));
        text.push(' ');
        let level = format!("{:5}", entry.level);
        text.push_str(&match entry.level {
            EntryLevel::Critical | EntryLevel::Error => self.colored(RED, &level),
            EntryLevel::Warn => self.colored(YELLOW, &level),
            EntryLevel::Info => level,
            EntryLevel::Debug | EntryLevel::Trace => self.colored(DIM, &level),
        });
        if self.several_nodes {
            text.push_str(&format!(" {}", printable(&entry.node)));
        }
        let id = printable(&entry.request_id);
        let start = id.char_indices().rev().nth(REQUEST_CHARS_SHOWN - 1).map_or(0, |(start, _)| start);
        let whose = format!(" r{} {:8} ", entry.release, &id[start..]);
        text.push_str(&self.colored(DIM, &whose));
        if let Some(context) = &entry.context {
            text.push_str(&format!("{}: ", printable(context).replace('\n', " ")));
        }
        text.push_str(&printable(&entry.message).replace('\n', "\n    "));
        text
    }

    /// Of today the time, else the date too; in the reader's own zone.
    fn time(&self, time: &str, now: &Zoned) -> String {
        let Ok(time) = time.parse::<Timestamp>() else { return printable(time) };
        let time = time.to_zoned(self.zone.clone());
        let form = if time.date() == now.date() { "%H:%M:%S%.3f" } else { "%Y-%m-%d %H:%M:%S%.3f" };
        time.strftime(form).to_string()
    }

    fn colored(&self, color: &str, text: &str) -> String {
        match self.colors {
            true => format!("\u{1b}[{color}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(level: &str, message: &str) -> Entry {
        serde_json::from_value(serde_json::json!({
            "time": "2026-11-22T17:51:15.281148Z", "level": level, "app.name": "shop", "release.number": 3,
            "request.id": "01a20462-373a-70b7-bb37-0aed29cc877f", "node.name": "a", "source": "host",
            "message": message,
        }))
        .unwrap()
    }

    fn style(colors: bool) -> Style {
        Style { colors, zone: TimeZone::UTC, node: None, several_nodes: false }
    }

    #[test]
    fn entries_are_lines_with_what_belongs_to_them_below() {
        let now: Zoned = "2026-11-22T20:00:00[UTC]".parse().unwrap();
        let crash = entry("error", "panicked at src/lib.rs:1:1: \u{1b}[2Jboom\n    at shop::price");
        let mut style = style(false);
        style.see("a");
        assert_eq!(
            style.entry(&crash, &now),
            "17:51:15.281 error r3 29cc877f panicked at src/lib.rs:1:1: \u{fffd}[2Jboom\n        at shop::price"
        );
        style.see("b");
        let tomorrow: Zoned = "2026-11-23T20:00:00[UTC]".parse().unwrap();
        let mut with_context = entry("info", "sold");
        with_context.context = Some("till".to_owned());
        with_context.request_id.clear();
        assert_eq!(
            style.entry(&with_context, &tomorrow),
            "2026-11-22 17:51:15.281 info  a r3          till: sold"
        );
    }

    #[test]
    fn colors_are_for_terminals() {
        let now: Zoned = "2026-11-22T20:00:00[UTC]".parse().unwrap();
        let text = style(true).entry(&entry("warn", "low"), &now);
        assert_eq!(
            text,
            "\u{1b}[2m17:51:15.281\u{1b}[0m \u{1b}[33mwarn \u{1b}[0m\u{1b}[2m r3 29cc877f \u{1b}[0mlow"
        );
    }
}
