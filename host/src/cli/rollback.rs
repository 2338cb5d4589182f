//! `typecase rollback APP [--to N]`; the number alone will do as well

use std::time::Duration;

use clap::Args;
use serde_json::json;
use typecase_model::{AppName, ReleaseNumber};

use super::answer::Answer;
use super::client::Client;
use super::failure::Failure;
use super::{completion, rollout};

/// A release that a node no longer has in its cache is prepared again, which includes compiling.
const ROLLOUT_TIMEOUT_MS: u64 = 150_000;
/// Longer than that, so that the server's answer gets here.
pub const ACTIVATE_TIMEOUT: Duration = Duration::from_secs(180);

#[derive(Debug, Args)]
pub struct RollbackArguments {
    #[arg(add = completion::apps())]
    app: AppName,
    /// The release to serve; without it, the one that served before the active one, so that a second roll back takes back
    /// the first.
    #[arg(long, value_name = "N")]
    to: Option<ReleaseNumber>,
    /// The same, as most people type it first.
    #[arg(hide = true, value_name = "N", conflicts_with = "to")]
    number: Option<ReleaseNumber>,
}

pub async fn run(client: &Client, arguments: RollbackArguments) -> Result<Answer, Failure> {
    let RollbackArguments { app, to, number } = arguments;
    let path = format!("/api/v1/apps/{app}/rollback?timeout_ms={ROLLOUT_TIMEOUT_MS}");
    let document = client.post(&path, &json!({ "to": to.or(number) }), ACTIVATE_TIMEOUT).await?;
    rollout::answer(document)
}
