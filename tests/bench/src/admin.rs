//! The calls of the API that the bench makes, on one connection that is kept.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hyper::Method;
use serde_json::Value;

use crate::connection::Connection;

#[derive(Debug)]
pub struct Admin {
    connection: Connection,
    token: String,
}

impl Admin {
    pub fn new(address: &str, token: String) -> Self {
        Self { connection: Connection::new(address), token }
    }

    /// Uploads a bundle and waits until it is active; gives back the release's number.
    pub async fn publish(&mut self, app: &str, bundle: Bytes) -> Result<u64> {
        let path = format!("/api/v1/apps/{app}/releases?activate=true");
        let answer =
            self.call(Method::PUT, &path, bundle).await.with_context(|| format!("publishing {app}"))?;
        if answer["state"] != "active" {
            bail!("{app} was published, but is not active: {answer}");
        }
        answer["release"].as_u64().with_context(|| format!("the answer names no release: {answer}"))
    }

    /// Makes an earlier release serve again.
    pub async fn activate(&mut self, app: &str, release: u64) -> Result<()> {
        let path = format!("/api/v1/apps/{app}/activate");
        let body = format!("{{\"release\": {release}}}");
        let answer = self.call(Method::POST, &path, body.into());
        let answer = answer.await.with_context(|| format!("activating release {release} of {app}"))?;
        if answer["state"] != "active" {
            bail!("release {release} of {app} is not active: {answer}");
        }
        Ok(())
    }

    async fn call(&mut self, method: Method, path: &str, body: Bytes) -> Result<Value> {
        let answer = self.connection.send(method, path, Some(&self.token), body).await?;
        if !(200..300).contains(&answer.status) {
            bail!("status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).context("the answer is not JSON")
    }
}
