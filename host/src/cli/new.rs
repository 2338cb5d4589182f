//! `typecase new TEMPLATE NAME`: a project that builds, serves and has a test, in a new folder.

mod ask;
mod folder;
mod template;
#[cfg(test)]
mod tests;
mod vendor;

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use serde_json::json;
use typecase_model::AppName;

use super::answer::Answer;
use super::failure::{Exit, Failure};
use super::schema;
use template::Template;

/// Where editors find what may stand in the manifest, whose first line names this file.
const SCHEMA_FILE: &str = ".typecase/manifest.schema.json";
/// What commands keep in that folder is nobody else's business; the schema belongs to the project.
const GITIGNORE: (&str, &str) = (".typecase/.gitignore", "*\n!.gitignore\n!manifest.schema.json\n");

#[derive(Debug, Args)]
#[command(after_help = template::help())]
pub struct NewArguments {
    /// What kind of app; asked for at a terminal.
    #[arg(value_parser = template::parse, add = ArgValueCandidates::new(candidates))]
    template: Option<&'static Template>,
    /// The app's name, and that of the new folder; asked for at a terminal.
    name: Option<AppName>,
    /// Make the project in this folder instead, which must be empty or new.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub fn run(arguments: NewArguments) -> Result<Answer, Failure> {
    let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
    if can_ask && (arguments.template.is_none() || arguments.name.is_none()) {
        ask::begin()?;
    }
    let template = match arguments.template {
        Some(template) => template,
        None if can_ask => ask::template()?,
        None => return Err(missing("TEMPLATE")),
    };
    let name = match arguments.name {
        Some(name) => name,
        None if can_ask => ask::name()?,
        None => return Err(missing("NAME")),
    };
    let path = arguments.folder.unwrap_or_else(|| PathBuf::from(name.as_str()));

    let mut files = template.files_for(&name);
    files.extend(vendor::files(template.brings));
    files.push((SCHEMA_FILE.to_owned(), schema::text()));
    files.push((GITIGNORE.0.to_owned(), GITIGNORE.1.to_owned()));
    folder::create(&path, &files)?;
    Ok(answer(template, &name, &path, files.len()))
}

/// For shells.
fn candidates() -> Vec<CompletionCandidate> {
    template::ALL
        .iter()
        .map(|template| CompletionCandidate::new(template.name).help(Some(template.says.into())))
        .collect()
}

fn answer(template: &Template, name: &AppName, path: &Path, files: usize) -> Answer {
    let shown = path.display().to_string();
    let next = [format!("cd {}", quoted(&shown)), "typecase dev".to_owned()];
    let mut text = format!("{name} is in {shown}: {}\n\nNext:\n", template.says);
    for command in &next {
        text.push_str(&format!("    {command}\n"));
    }
    text.push_str(&format!("\n{} {}/README.md says the rest.", template.needs, shown.trim_end_matches('/')));
    let document = json!({
        "template": template.name,
        "name": name,
        "folder": shown,
        "files": files,
        "next": next,
    });
    Answer::done(document, text)
}

fn missing(what: &str) -> Failure {
    let detail = format!("{what} is missing: typecase new TEMPLATE NAME\n{}", template::list());
    Failure::local(Exit::Usage, "usage", detail)
}

/// As a shell takes it.
fn quoted(path: &str) -> String {
    let is_plain = path.chars().all(|c| c.is_alphanumeric() || "/._-+@".contains(c));
    if is_plain { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}
