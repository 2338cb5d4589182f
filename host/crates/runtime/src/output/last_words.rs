//! What languages write to stderr when a program fails: several lines that are one thing, an error.
//!
//! Held back while they come, because the guest may be about to trap: then they say why, and become the first lines
//! of that report.

use super::ENTRY_BYTES_MAX;

pub(super) struct LastWords {
    text: String,
    kind: Kind,
    /// Lines after the first one.
    lines: usize,
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The program ends here: what follows belongs to it, as far as there is room.
    Final,
    /// The next line, and then what is indented below it.
    WithNext,
    /// What is indented below it, and `Stack:`.
    WithStack,
    /// What is indented below it, and the line after that.
    UntilUnindented,
}

/// How the lines begin.
const BEGINNINGS: [(&str, Kind); 8] = [
    // Rust; the thread's name and perhaps its number stand between the two.
    ("thread '", Kind::Final),
    ("memory allocation of ", Kind::Final),
    // Go, and TinyGo.
    ("panic: ", Kind::Final),
    ("fatal error: ", Kind::Final),
    // componentize-js: of a handler, of a listener, of a promise that nobody waits for.
    ("Error while running request handler: ", Kind::WithStack),
    ("Exception while ", Kind::WithNext),
    ("Promise rejected but never handled: ", Kind::WithStack),
    ("Traceback (most recent call last):", Kind::UntilUnindented),
];

/// Advice of Rust that nobody can follow here.
const NOTES: [&str; 2] =
    ["note: run with `RUST_BACKTRACE", "note: Some details are omitted, run with `RUST_"];

impl LastWords {
    /// None for a line that begins nothing.
    pub(super) fn begin(line: &str) -> Option<Self> {
        let (beginning, kind) = BEGINNINGS.into_iter().find(|(beginning, _)| line.starts_with(beginning))?;
        let text = match beginning {
            "thread '" => {
                let (_, place) = line.split_once(" panicked at ")?;
                format!("panicked at {place}")
            }
            "memory allocation of " if !line.ends_with(" failed") => return None,
            // As if it were two of the engine's own sentences put together, which it is.
            "Exception while " => line.replacen("Exception while Exception in ", "exception in ", 1),
            _ => line.to_owned(),
        };
        Some(Self { text, kind, lines: 0, ended: false })
    }

    /// Takes a line that belongs to them; false for the first that does not.
    pub(super) fn take(&mut self, line: &str) -> bool {
        let indented = line.starts_with([' ', '\t']);
        let belongs = match self.kind {
            Kind::Final => self.text.len() + line.len() < ENTRY_BYTES_MAX,
            Kind::WithNext => self.lines == 0 || indented,
            Kind::WithStack => indented || line == "Stack:",
            Kind::UntilUnindented => !self.ended,
        };
        if !belongs {
            return false;
        }
        self.ended |= !indented;
        let said = !line.is_empty() && !NOTES.iter().any(|note| line.starts_with(note));
        if said && line != "Stack:" && self.text.len() + line.len() < ENTRY_BYTES_MAX {
            // A panic's message reads on from its place, an exception's from its listener.
            let reads_on = self.lines == 0 && matches!(self.kind, Kind::Final | Kind::WithNext);
            if self.text.ends_with(':') && reads_on {
                self.text.push(' ');
            } else if reads_on && self.kind == Kind::WithNext {
                self.text.push_str(": ");
            } else {
                self.text.push('\n');
            }
            self.text.push_str(line);
        }
        self.lines += 1;
        true
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}
