//! `typecase withdraw APP`

use clap::Args;
use serde_json::json;
use typecase_model::AppName;

use super::answer::Answer;
use super::client::Client;
use super::completion;
use super::failure::Failure;
use super::rollback::ACTIVATE_TIMEOUT;

#[derive(Debug, Args)]
pub struct WithdrawArguments {
    #[arg(add = completion::apps())]
    app: AppName,
}

pub async fn run(client: &Client, arguments: WithdrawArguments) -> Result<Answer, Failure> {
    let app = arguments.app;
    let document = client.post(&format!("/api/v1/apps/{app}/withdraw"), &json!({}), ACTIVATE_TIMEOUT).await?;
    let text = format!("{app} is withdrawn; `typecase rollback {app}` makes it serve again");
    Ok(Answer::done(document, text))
}
