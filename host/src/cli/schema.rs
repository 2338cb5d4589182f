//! `typecase schema`: the JSON Schema of the manifest, for editors.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use typecase_model::manifest;

use super::answer::Answer;
use super::failure::{Exit, Failure};
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
    if !may_be_replaced(&file) {
        let detail = format!("{} holds something else than a JSON Schema: name another file", file.display());
        return Err(Failure::local(Exit::Usage, "output-taken", detail));
    }
    let changed = output::replace(&file, &text())?;
    let shown = file.display().to_string();
    let text = match changed {
        true => format!("wrote {shown}: name it in the first line of typecase.toml, `#:schema ./PATH`"),
        false => format!("{shown} is as it should be: nothing changed"),
    };
    Ok(Answer::done(json!({ "file": shown, "changed": changed }), text))
}

/// A mistyped name must not cost anybody a file. A schema is JSON.
fn may_be_replaced(file: &Path) -> bool {
    let is_file = file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() > 0);
    let mut first = [0];
    !is_file
        || File::open(file).and_then(|mut file| file.read_exact(&mut first)).is_ok_and(|()| first == *b"{")
}

/// The schema as a file holds it.
pub fn text() -> String {
    format!("{:#}\n", manifest::schema())
}
