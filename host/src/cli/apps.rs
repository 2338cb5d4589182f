//! `typecase apps`

use serde::Deserialize;

use super::answer::Answer;
use super::client::Client;
use super::failure::Failure;
use super::{rollout, text};

#[derive(Debug, Deserialize)]
struct Apps {
    apps: Vec<App>,
}

#[derive(Debug, Deserialize)]
struct App {
    name: String,
    active: Option<u32>,
    candidate: Option<u32>,
    #[serde(default)]
    generation: u64,
    updated_unix_ms: Option<i64>,
}

pub async fn run(client: &Client) -> Result<Answer, Failure> {
    let document = client.get("/api/v1/apps").await?;
    let Apps { apps } = rollout::parse(&document)?;
    if apps.is_empty() {
        return Ok(Answer::done(
            document,
            "no apps yet: publish one with `typecase publish PATH`".to_owned(),
        ));
    }
    let now = text::now_unix_ms();
    let rows = apps.into_iter().map(|app| {
        vec![
            app.name,
            text::or_dash(app.active),
            text::or_dash(app.candidate),
            app.generation.to_string(),
            text::or_dash(app.updated_unix_ms.map(|then| text::ago(then, now))),
        ]
    });
    let table = text::table(&["APP", "ACTIVE", "CANDIDATE", "GENERATION", "CHANGED"], rows.collect());
    Ok(Answer::done(document, table))
}
