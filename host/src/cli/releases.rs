//! `typecase releases APP`

use clap::Args;
use serde::Deserialize;
use typecase_model::{AppName, Digest};

use super::answer::Answer;
use super::client::Client;
use super::failure::Failure;
use super::{completion, rollout, text};

/// What fits beside the other columns on a line of 100.
const NOTE_CHARS_MAX: usize = 48;

#[derive(Debug, Args)]
pub struct ReleasesArguments {
    #[arg(add = completion::apps())]
    app: AppName,
}

#[derive(Debug, Deserialize)]
struct Releases {
    releases: Vec<Release>,
}

#[derive(Debug, Deserialize)]
struct Release {
    number: u32,
    state: String,
    digest: Digest,
    #[serde(default)]
    publisher: String,
    #[serde(default)]
    note: String,
    failure: Option<String>,
    created_unix_ms: i64,
}

pub async fn run(client: &Client, arguments: ReleasesArguments) -> Result<Answer, Failure> {
    let document = client.get(&format!("/api/v1/apps/{}/releases", arguments.app)).await?;
    let Releases { releases } = rollout::parse(&document)?;
    let now = text::now_unix_ms();
    let rows = releases.into_iter().map(|release| {
        let remark = release.failure.unwrap_or(release.note);
        vec![
            release.number.to_string(),
            release.state,
            release.digest.short(),
            text::ago(release.created_unix_ms, now),
            release.publisher,
            text::brief(&remark, NOTE_CHARS_MAX),
        ]
    });
    let table = text::table(&["RELEASE", "STATE", "DIGEST", "PUBLISHED", "BY", "NOTE"], rows.collect());
    Ok(Answer::done(document, table))
}
