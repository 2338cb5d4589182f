//! `typecase token create NAME --role ROLE | list | revoke NAME`

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;
use typecase_model::Role;

use super::answer::Answer;
use super::client::Client;
use super::failure::Failure;
use super::{completion, rollout, text};

const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub struct TokenArguments {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print it, this once.
    Create {
        /// What the token is called in lists and logs.
        #[arg(value_parser = token_name)]
        name: String,
        /// viewer reads, publisher publishes and rolls back, admin manages tokens too.
        #[arg(long, value_parser = role, default_value = "publisher")]
        role: Role,
    },
    /// List the tokens, without their secrets.
    List,
    /// Make a token worthless at once.
    Revoke {
        #[arg(value_parser = token_name, add = completion::tokens())]
        name: String,
    },
}

#[derive(Debug, Deserialize)]
struct Created {
    token: String,
}

#[derive(Debug, Deserialize)]
struct Tokens {
    tokens: Vec<Token>,
}

#[derive(Debug, Deserialize)]
struct Token {
    name: String,
    role: String,
    created_unix_ms: Option<i64>,
}

pub async fn run(client: &Client, arguments: TokenArguments) -> Result<Answer, Failure> {
    match arguments.command {
        TokenCommand::Create { name, role } => {
            let body = json!({ "name": name, "role": role });
            let document = client.post("/api/v1/tokens", &body, TIMEOUT).await?;
            // The bare token, so that `TOKEN=$(typecase token create ci)` works.
            let Created { token } = rollout::parse(&document)?;
            Ok(Answer::done(document, token))
        }
        TokenCommand::List => {
            let document = client.get("/api/v1/tokens").await?;
            let Tokens { tokens } = rollout::parse(&document)?;
            let now = text::now_unix_ms();
            let rows = tokens.into_iter().map(|token| {
                let created = token.created_unix_ms.map(|then| text::ago(then, now));
                vec![token.name, token.role, text::or_dash(created)]
            });
            Ok(Answer::done(document, text::table(&["TOKEN", "ROLE", "CREATED"], rows.collect())))
        }
        TokenCommand::Revoke { name } => {
            let document = client.delete(&format!("/api/v1/tokens/{name}")).await?;
            let document = if document.is_null() { json!({ "revoked": name }) } else { document };
            Ok(Answer::done(document, format!("token {name} is revoked")))
        }
    }
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "use viewer, publisher or admin".to_owned())
}

/// The name becomes part of a path and of log lines.
fn token_name(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    match (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("use 1 to 64 of a-z, A-Z, 0-9, `.`, `_` and `-`".to_owned()),
    }
}
