//! Arguments that cannot be understood: said in words, and with `--json` as a problem document too.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use super::answer;
use super::failure::{Exit, Failure};

/// Prints what is wrong, or the help that was asked for, and says how to end.
pub fn refuse(error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A terminal that went away is no reason to panic.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let error = without_environment(error, &arguments);
    let _ = error.print();
    if wants_json(&arguments) {
        // A reader that wants it not has the exit code.
        let _ = answer::print_document(&problem(&error).document);
    }
    ExitCode::from(Exit::Usage as u8)
}

/// The usage that an error shows lists what was given, and takes for it what stands in the environment, which nobody
/// typed: judged again without that.
fn without_environment(error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let command = forget_environment(super::Arguments::command());
    match command.try_get_matches_from(arguments) {
        // A help is better with the environment.
        Err(other) if other.kind() == error.kind() && shows_usage(&error) => other,
        // It is the environment that is wrong, and has to be named.
        _ => error,
    }
}

fn shows_usage(error: &clap::Error) -> bool {
    error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

fn forget_environment(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| argument.env(None::<&str>)).mut_subcommands(forget_environment)
}

/// They were not understood, so this is a look at the words themselves.
fn wants_json(arguments: &[OsString]) -> bool {
    arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json")
}

fn problem(error: &clap::Error) -> Failure {
    let detail = match error.kind() {
        // clap shows the help instead of an error.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            "a command is missing: `--help` lists them".to_owned()
        }
        _ => {
            let text = error.render().to_string();
            let said = text.split("\n\nUsage:").next().unwrap_or_default();
            let said = said.split("\n\nFor more information").next().unwrap_or_default();
            said.trim_start_matches("error: ").trim().to_owned()
        }
    };
    Failure::local(Exit::Usage, "usage", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(line: &str) -> String {
        let command = forget_environment(crate::cli::Arguments::command());
        let error = command.try_get_matches_from(line.split(' ')).unwrap_err();
        problem(&error).document["detail"].as_str().unwrap().to_owned()
    }

    #[test]
    fn problems_say_what_is_wrong_and_no_more() {
        assert_eq!(detail("typecase frobnicate"), "unrecognized subcommand 'frobnicate'");
        assert_eq!(
            detail("typecase releases"),
            "the following required arguments were not provided:\n  <APP>"
        );
        assert_eq!(
            detail("typecase apps --jsn"),
            "unexpected argument '--jsn' found\n\n  tip: a similar argument exists: '--json'"
        );
        assert_eq!(detail("typecase token"), "a command is missing: `--help` lists them");
        assert_eq!(
            detail("typecase node --listen 9340"),
            "invalid value '9340' for '--listen <ADDR>': a port alone: write 127.0.0.1:9340, or 0.0.0.0:9340 for all addresses of the machine"
        );
    }

    #[test]
    fn json_is_asked_for_by_a_word_of_its_own() {
        let asked = |line: &str| wants_json(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(asked("typecase releases --json") && asked("typecase --json frobnicate --x"));
        assert!(!asked("typecase publish -- --json") && !asked("typecase releases --json=1"));
    }
}
