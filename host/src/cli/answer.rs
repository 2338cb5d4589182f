//! The one place where commands print: data on stdout, everything else on stderr.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::Value;

use super::failure::{Exit, Failure};
use super::text::printable;

/// What a command found or did, as one JSON document and as text for people.
#[derive(Debug)]
pub struct Answer {
    pub document: Value,
    pub text: String,
    /// `Exit::Done` unless the command found that something is wrong.
    pub exit: Exit,
}

impl Answer {
    pub fn done(document: Value, text: String) -> Self {
        Self { document, text, exit: Exit::Done }
    }
}

pub fn print(result: Result<Answer, Failure>, json: bool) -> ExitCode {
    let (document, text, exit) = match result {
        Ok(answer) => (answer.document, answer.text, answer.exit),
        Err(failure) => {
            let _ = write(&mut std::io::stderr(), &printable(&failure.text()));
            (failure.document, String::new(), failure.exit)
        }
    };
    let written = match (json, text.is_empty()) {
        (true, _) => print_document(&document),
        (false, false) => write(&mut std::io::stdout(), &printable(&text)),
        (false, true) => Ok(()),
    };
    match written {
        Ok(()) => ExitCode::from(exit as u8),
        Err(error) => unwritten(&error),
    }
}

/// What was done is done; but nobody can know what came of it.
fn unwritten(error: &io::Error) -> ExitCode {
    let _ = write(&mut std::io::stderr(), &format!("error: the output could not be written: {error}"));
    ExitCode::from(Exit::Failed as u8)
}

/// The failure of a command that prints a document a line.
pub fn print_last_line(failure: &Failure, json: bool) -> ExitCode {
    let _ = write(&mut std::io::stderr(), &printable(&failure.text()));
    if json {
        let _ = write(&mut std::io::stdout(), &failure.document.to_string());
    }
    ExitCode::from(failure.exit as u8)
}

pub fn print_document(document: &Value) -> io::Result<()> {
    write(&mut std::io::stdout(), &format!("{document:#}"))
}

/// A reader that went away (`typecase apps | head`) is no reason to panic.
fn write(to: &mut dyn Write, text: &str) -> io::Result<()> {
    match writeln!(to, "{text}").and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
