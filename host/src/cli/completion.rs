//! `typecase completion SHELL`: what a shell needs to complete commands and options.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use serde_json::json;

use super::answer::Answer;
use super::failure::{Exit, Failure};

const INSTALL: &str = "\
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

pub fn run(arguments: &CompletionArguments) -> Result<Answer, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "typecase", &mut script);
    let script = String::from_utf8(script).map_err(|error| {
        Failure::local(Exit::Failed, "not-text", format!("the script is not text: {error}"))
    })?;
    let document = json!({ "shell": arguments.shell.to_string(), "script": script });
    Ok(Answer::done(document, script.trim_end().to_owned()))
}
