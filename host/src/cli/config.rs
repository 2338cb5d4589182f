//! `typecase config APP | config list APP | config set APP NAME=VALUE... [--from-file NAME=PATH] [--secret] |
//! config unset APP NAME...`

mod show;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::answer::Answer;
use super::client::Client;
use super::completion;
use super::failure::{Exit, Failure};

/// Nodes apply a change within a second.
const TIMEOUT_S: u64 = 15;
/// How much longer than the nodes the server's answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// What a server takes is a good deal less; this is for the wrong file.
const FILE_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ConfigArguments {
    /// List this app's config.
    #[arg(required = true, value_name = "APP", add = completion::apps())]
    app: Option<String>,
    #[command(subcommand)]
    command: Option<ConfigCommand>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// List the keys that the app's release declares, and what is set; secrets without their values.
    List {
        #[arg(add = completion::apps())]
        app: String,
    },
    /// Set values. Running apps see them at once; an app may be configured before it is published.
    Set {
        #[arg(add = completion::apps())]
        app: String,
        /// A value given here shows in `ps` and stays in the shell's history: give secrets with --from-file.
        #[arg(required_unless_present = "files", value_name = "NAME=VALUE", value_parser = assignment)]
        assignments: Vec<(String, String)>,
        /// Take a value from a file, or with `-` from standard input; a line end at its end is left out.
        #[arg(long = "from-file", value_name = "NAME=PATH", value_parser = assignment)]
        files: Vec<(String, String)>,
        /// Keep the values sealed, and never show them again. What the app's manifest declares secret is so anyway.
        #[arg(long)]
        secret: bool,
        #[command(flatten)]
        how: ChangeArguments,
    },
    /// Take values out: the defaults of the app's manifest hold again.
    Unset {
        #[arg(add = completion::apps())]
        app: String,
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        how: ChangeArguments,
    },
}

#[derive(Debug, Args)]
struct ChangeArguments {
    /// Refuse when the app's config is at another generation by now.
    #[arg(long, value_name = "N")]
    expected: Option<u64>,
    /// How long to wait for the nodes, in seconds.
    #[arg(long, value_name = "S", default_value_t = TIMEOUT_S, value_parser = clap::value_parser!(u64).range(0..=600))]
    timeout: u64,
}

pub async fn run(client: &Client, arguments: ConfigArguments) -> Result<Answer, Failure> {
    let ConfigArguments { app, command } = arguments;
    match command {
        None => list(client, &app.unwrap_or_default()).await,
        Some(ConfigCommand::List { app }) => list(client, &app).await,
        Some(ConfigCommand::Set { app, assignments, files, secret, how }) => {
            let set = values(assignments, files, secret)?;
            change(client, &app, json!({ "set": set }), &how).await
        }
        Some(ConfigCommand::Unset { app, names, how }) => {
            change(client, &app, json!({ "unset": names }), &how).await
        }
    }
}

async fn list(client: &Client, app: &str) -> Result<Answer, Failure> {
    show::list(client.get(&format!("/api/v1/apps/{app}/config")).await?)
}

async fn change(
    client: &Client,
    app: &str,
    mut body: Value,
    how: &ChangeArguments,
) -> Result<Answer, Failure> {
    if let Some(expected) = how.expected {
        body["expected"] = expected.into();
    }
    let path = format!("/api/v1/apps/{app}/config?timeout_ms={}", how.timeout * 1_000);
    let answer_timeout = Duration::from_secs(how.timeout) + ANSWER_TIMEOUT;
    show::outcome(client.patch(&path, &body, answer_timeout).await?)
}

fn values(
    assignments: Vec<(String, String)>,
    files: Vec<(String, String)>,
    secret: bool,
) -> Result<BTreeMap<String, Value>, Failure> {
    let mut values = BTreeMap::new();
    let from_files = files.into_iter().map(|(name, path)| Ok((name, read(&path)?)));
    for entry in assignments.into_iter().map(Ok).chain(from_files) {
        let (name, value) = entry?;
        let value = json!({ "value": value, "secret": secret });
        if values.insert(name.clone(), value).is_some() {
            let detail = format!("{name} is given twice: keep one");
            return Err(Failure::local(Exit::Usage, "value-given-twice", detail));
        }
    }
    Ok(values)
}

/// A file's text, without the line end that editors add.
fn read(path: &str) -> Result<String, Failure> {
    let failed = |why: String| Failure::local(Exit::Failed, "file-unreadable", why).within(Path::new(path));
    let mut text = String::new();
    let read = match path {
        "-" => std::io::stdin().take(FILE_BYTES_MAX + 1).read_to_string(&mut text),
        path => {
            std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        }
    };
    read.map_err(|error| failed(format!("cannot be read: {error}")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(failed(format!("larger than {FILE_BYTES_MAX} bytes; is this the right file?")));
    }
    let end =
        text.strip_suffix('\n').map_or(text.len(), |line| line.strip_suffix('\r').unwrap_or(line).len());
    text.truncate(end);
    Ok(text)
}

/// The value as it was typed, spaces and all.
pub fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE, such as greeting=hello".to_owned()),
    }
}
