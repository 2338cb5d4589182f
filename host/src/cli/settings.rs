//! `typecase settings [list | set KEY=VALUE... | unset KEY... | history | diff [FROM] [TO] | rollback N | receipts]`

mod outcome;
mod show;

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::client::Client;
use super::failure::{Exit, Failure};
use super::{completion, rollout};

/// Nodes apply a change within a second.
const TIMEOUT_S: u64 = 15;
/// How much longer than the nodes the server's answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Debug, Args)]
pub struct SettingsArguments {
    #[command(subcommand)]
    command: Option<SettingsCommand>,
}

#[derive(Debug, Subcommand)]
enum SettingsCommand {
    /// List all keys with what they come to (the default).
    List,
    /// Set keys, on all nodes at once.
    Set {
        /// Lists are separated by commas: ingress.trusted_proxies=10.0.0.0/8,192.0.2.1
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = assignment, add = completion::setting_keys("="))]
        assignments: Vec<(String, String)>,
        #[command(flatten)]
        how: ChangeArguments,
    },
    /// Leave keys to each node's own configuration again.
    Unset {
        #[arg(required = true, value_name = "KEY", add = completion::setting_keys(""))]
        keys: Vec<String>,
        #[command(flatten)]
        how: ChangeArguments,
    },
    /// List the changes, newest first.
    History {
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 20)]
        count: u32,
    },
    /// Show what differs between two generations; without them, what the newest change did.
    Diff { from: Option<u64>, to: Option<u64> },
    /// Make an older generation hold again.
    Rollback {
        /// A generation of the history; 0 is the time before the first change.
        #[arg(value_name = "N")]
        to: u64,
        #[command(flatten)]
        how: ChangeArguments,
    },
    /// Show what each node made of the settings.
    Receipts,
}

#[derive(Debug, Args)]
struct ChangeArguments {
    /// Why; shown in the history.
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// Refuse when the settings are at another generation by now [default: the one at this moment].
    #[arg(long, value_name = "N")]
    expected: Option<u64>,
    /// How long to wait for the nodes, in seconds.
    #[arg(long, value_name = "S", default_value_t = TIMEOUT_S, value_parser = clap::value_parser!(u64).range(0..=600))]
    timeout: u64,
}

#[derive(Debug, Deserialize)]
struct Current {
    generation: u64,
}

pub async fn run(client: &Client, arguments: SettingsArguments) -> Result<Answer, Failure> {
    match arguments.command.unwrap_or(SettingsCommand::List) {
        SettingsCommand::List => show::list(client.get("/api/v1/settings").await?),
        SettingsCommand::Set { assignments, how } => {
            let changes = assignments.into_iter().map(|(key, value)| (key, Value::String(value)));
            change(client, changes.collect(), how).await
        }
        SettingsCommand::Unset { keys, how } => {
            change(client, keys.into_iter().map(|key| (key, Value::Null)).collect(), how).await
        }
        SettingsCommand::History { count } => {
            show::history(client.get(&format!("/api/v1/settings/history?count={count}")).await?)
        }
        SettingsCommand::Diff { from, to } => {
            let query: Vec<String> = [("from", from), ("to", to)]
                .into_iter()
                .filter_map(|(name, generation)| Some(format!("{name}={}", generation?)))
                .collect();
            show::diff(client.get(&format!("/api/v1/settings/diff?{}", query.join("&"))).await?)
        }
        SettingsCommand::Rollback { to, how } => {
            let mut body = json!({ "to": to, "expected": expected(client, &how).await? });
            if !how.note.is_empty() {
                body["note"] = how.note.into();
            }
            let path = format!("/api/v1/settings/rollback?timeout_ms={}", how.timeout * 1_000);
            let answer_timeout = Duration::from_secs(how.timeout) + ANSWER_TIMEOUT;
            outcome::answer(client.post(&path, &body, answer_timeout).await?)
        }
        SettingsCommand::Receipts => outcome::receipts(client.get("/api/v1/settings/receipts").await?),
    }
}

/// Values go as they were typed: the server knows which form each key has, also those of a newer version.
async fn change(
    client: &Client,
    changes: Map<String, Value>,
    how: ChangeArguments,
) -> Result<Answer, Failure> {
    let body = json!({ "expected": expected(client, &how).await?, "changes": changes, "note": how.note });
    let path = format!("/api/v1/settings?timeout_ms={}", how.timeout * 1_000);
    let answer_timeout = Duration::from_secs(how.timeout) + ANSWER_TIMEOUT;
    outcome::answer(client.patch(&path, &body, answer_timeout).await?)
}

async fn expected(client: &Client, how: &ChangeArguments) -> Result<u64, Failure> {
    match how.expected {
        Some(expected) => Ok(expected),
        None => {
            let Current { generation } = rollout::parse(&client.get("/api/v1/settings").await?)?;
            Ok(generation)
        }
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err("write KEY=VALUE, such as log.level=debug".to_owned()),
    }
}

/// Not all nodes have applied the settings.
fn not_converged(document: &Value, detail: String) -> Failure {
    let mut failure = Failure::local(Exit::NotConverged, "not-converged", detail);
    for field in ["generation", "changes", "converged"] {
        failure.document[field] = document[field].clone();
    }
    // Under another name than a release's: those are shown in their own way.
    failure.document["nodes"] = document["receipts"].clone();
    failure.advise("`typecase settings receipts` shows what becomes of it".to_owned())
}
