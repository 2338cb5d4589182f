//! Asks at a terminal for what the command line did not say.

use std::io::ErrorKind;

use dialoguer::console::Term;
use dialoguer::theme::ColorfulTheme;
use dialoguer::{Error, Input, Select};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use typecase_model::AppName;

use super::template::{ALL, Template};
use crate::cli::failure::{Exit, Failure};

/// From here on Ctrl-C ends a question and not the process, which would leave the terminal without its cursor.
pub fn begin() -> Result<(), Failure> {
    let caught = Builder::new_current_thread().enable_io().build().and_then(|runtime| {
        let _within = runtime.enter();
        signal(SignalKind::interrupt())
    });
    caught.map(|_| ()).map_err(|error| Failure::local(Exit::Failed, "no-signals", error.to_string()))
}

pub fn template() -> Result<&'static Template, Failure> {
    let width = ALL.iter().map(|template| template.name.len()).max().unwrap_or_default();
    let items: Vec<String> =
        ALL.iter().map(|template| format!("{:width$}  {}", template.name, template.says)).collect();
    let theme = ColorfulTheme::default();
    let chosen = Select::with_theme(&theme).with_prompt("Template").items(&items).default(0).interact_opt();
    chosen.map_err(unanswered)?.and_then(|index| ALL.get(index)).ok_or_else(cancelled)
}

pub fn name() -> Result<AppName, Failure> {
    let theme = ColorfulTheme::default();
    let asked = Input::<String>::with_theme(&theme)
        .with_prompt("Name of the app")
        .validate_with(|text: &String| text.parse::<AppName>().map(|_| ()).map_err(|error| error.to_string()))
        .interact_text()
        .map_err(|error| {
            // The cursor stands behind what was typed.
            let _ = Term::stderr().write_line("");
            unanswered(error)
        })?;
    asked.parse().map_err(|error| Failure::local(Exit::Usage, "usage", format!("{error}")))
}

fn unanswered(error: Error) -> Failure {
    // A menu hides the cursor until it is answered; if that fails too, nobody looks.
    let _ = Term::stderr().show_cursor();
    let Error::IO(error) = error;
    match error.kind() {
        ErrorKind::Interrupted => cancelled(),
        _ => Failure::local(Exit::Failed, "no-answer", format!("cannot ask at this terminal: {error}")),
    }
}

fn cancelled() -> Failure {
    Failure::local(Exit::Failed, "cancelled", "cancelled: nothing was made".to_owned())
}
