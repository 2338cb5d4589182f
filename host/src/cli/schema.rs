//! `typecase schema`: the JSON Schema of the manifest, for editors.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use typecase_model::manifest;

use super::answer::Answer;
use super::failure::Failure;
use super::generate::output;

#[derive(Debug, Args)]
pub struct SchemaArguments {
    /// Write it to a file, if that says something else.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(arguments: SchemaArguments) -> Result<Answer, Failure> {
    let Some(file) = arguments.output else {
        return Ok(Answer::done(manifest::schema(), text().trim_end().to_owned()));
    };
    let changed = output::replace(&file, &text())?;
    let shown = file.display().to_string();
    let text = match changed {
        true => format!("wrote {shown}: name it in the first line of typecase.toml, `#:schema ./PATH`"),
        false => format!("{shown} is as it should be: nothing changed"),
    };
    Ok(Answer::done(json!({ "file": shown, "changed": changed }), text))
}

/// The schema as a file holds it.
pub fn text() -> String {
    format!("{:#}\n", manifest::schema())
}
