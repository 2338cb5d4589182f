//! The guides in `docs/`, followed to the letter: every command is run, every file written, every output compared.
//!
//! A guide says what to do in fenced blocks: `console` holds commands after `$` and what they print, `…` standing for
//! whatever differs; `console background` is what a reader leaves running in another terminal, until a line
//! `<!-- ctrl-c -->`; a language with a path is a file to write, `diff` with a path a change to one. All else is for
//! the reader's eyes.

mod markdown;
mod shell;

use std::path::Path;

use markdown::{Step, parse};
use shell::Shell;

/// Follows a document of `docs/` in an empty folder.
fn follow(document: &str) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let text = std::fs::read_to_string(docs.join(document)).unwrap();
    let steps = parse(&text);
    assert!(steps.iter().any(|step| matches!(step, Step::Run { .. })), "{document} runs nothing");
    let mut shell = Shell::start(document);
    for step in steps {
        match step {
            Step::Run { command, output } => shell.run(&command, &output),
            Step::Background(command) => shell.start_in_background(&command),
            Step::CtrlC => shell.interrupt(),
            Step::Write { path, text } => shell.write(&path, &text),
            Step::Change { path, from, to } => shell.change(&path, &from, &to),
        }
    }
}

#[test]
fn first_app() {
    follow("first-app.md");
}

#[test]
fn first_app_in_chinese() {
    follow("first-app.zh.md");
}

#[test]
fn testing() {
    follow("testing.md");
}

#[test]
fn from_spin() {
    follow("from-spin.md");
}

#[test]
fn limits_and_errors() {
    follow("limits-and-errors.md");
}

#[test]
fn javascript() {
    follow("languages/javascript.md");
}

#[test]
fn typescript() {
    follow("languages/typescript.md");
}

#[test]
fn python() {
    follow("languages/python.md");
}

#[test]
fn go() {
    follow("languages/go.md");
}

/// A document with commands that no test above follows would rot.
#[test]
fn every_document_with_commands_is_followed() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let this = include_str!("guides.rs");
    let folders = [docs.clone(), docs.join("languages")];
    for entry in folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()) {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(&docs).unwrap().to_str().unwrap();
        if name.ends_with(".md") && !parse(&std::fs::read_to_string(&path).unwrap()).is_empty() {
            assert!(this.contains(&format!("follow(\"{name}\")")), "no test follows docs/{name}");
        }
    }
}
