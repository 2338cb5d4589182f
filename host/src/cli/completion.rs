//! `typecase completion SHELL`: a script that has the shell ask this program at each TAB, so that it also completes
//! what only a server knows.

mod names;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use clap_complete::env::{CompleteEnv, Shells};
use serde_json::json;

use super::answer::Answer;
use super::failure::{Exit, Failure};

pub use names::{apps, nodes, setting_keys, tokens};

/// The script sets it when it asks. Its usual name, `COMPLETE`, may mean something else to somebody.
const ASKED_BY_SHELL: &str = "TYPECASE_COMPLETE";

const INSTALL: &str = "\
It completes commands, options, templates, and the names of apps, nodes and tokens, for which it asks the server.
Install it, for every new shell:
  bash        typecase completion bash > ~/.local/share/bash-completion/completions/typecase
  zsh         typecase completion zsh > \"${fpath[1]}/_typecase\"
  fish        typecase completion fish > ~/.config/fish/completions/typecase.fish
  powershell  typecase completion powershell >> $PROFILE
  elvish      typecase completion elvish >> ~/.config/elvish/rc.elv
or try it in this one: source <(typecase completion bash)";

#[derive(Debug, Args)]
#[command(after_help = INSTALL)]
pub struct CompletionArguments {
    /// The shell.
    shell: Shell,
}

/// Answers a shell that asks, which ends the process; does nothing for anybody else.
pub fn answer_shell() {
    if std::env::var_os(ASKED_BY_SHELL).is_some() {
        CompleteEnv::with_factory(super::Arguments::command).var(ASKED_BY_SHELL).complete();
    }
}

pub fn run(arguments: &CompletionArguments) -> Result<Answer, Failure> {
    let shell = arguments.shell.to_string();
    let failed = |reason: String| {
        Failure::local(Exit::Failed, "no-script", format!("cannot make the script for {shell}: {reason}"))
    };
    let shells = Shells::builtins();
    let completer = shells.completer(&shell).ok_or_else(|| failed("it is not supported".to_owned()))?;
    let mut script = Vec::new();
    // By its name: it may be another file after an upgrade.
    completer
        .write_registration(ASKED_BY_SHELL, "typecase", "typecase", "typecase", &mut script)
        .map_err(|error| failed(error.to_string()))?;
    let script = String::from_utf8(script).map_err(|error| failed(error.to_string()))?;
    let document = json!({ "shell": shell, "script": script });
    Ok(Answer::done(document, script.trim_end().to_owned()))
}
