//! A node's JSON API, as a program with a token uses it.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::client::{self, Answer};

/// The API with the rights of one token.
#[derive(Debug, Clone)]
pub struct Api {
    pub address: SocketAddr,
    pub token: Option<String>,
}

impl Api {
    /// The same node with another token, or none.
    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self { address: self.address, token: token.map(str::to_owned) }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Bytes::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, body.to_string().into()).await
    }

    /// Uploads a bundle or a bare component. `query` is empty or starts with `?`.
    pub async fn publish(&self, app: &str, upload: impl Into<Bytes>, query: &str) -> Answer {
        self.send(Method::PUT, &format!("/api/v1/apps/{app}/releases{query}"), upload.into()).await
    }

    /// The same upload, to hear what would become of it.
    pub async fn check(&self, app: &str, upload: impl Into<Bytes>) -> Answer {
        self.send(Method::POST, &format!("/api/v1/apps/{app}/check"), upload.into()).await
    }

    pub async fn activate(&self, app: &str, release: u64) -> Answer {
        self.post(&format!("/api/v1/apps/{app}/activate"), &json!({ "release": release })).await
    }

    /// The app's document, which names the active release and the candidate.
    pub async fn app(&self, app: &str) -> Value {
        self.get(&format!("/api/v1/apps/{app}")).await.expect(200).json()
    }

    /// All releases of an app, newest first.
    pub async fn releases(&self, app: &str) -> Vec<Value> {
        let document = self.get(&format!("/api/v1/apps/{app}/releases")).await.expect(200).json();
        document["releases"].as_array().cloned().unwrap_or_default()
    }

    /// What each node said about one release.
    pub async fn receipts(&self, app: &str, release: u64) -> Vec<Value> {
        let path = format!("/api/v1/apps/{app}/releases/{release}/receipts");
        let document = self.get(&path).await.expect(200).json();
        document["receipts"].as_array().cloned().unwrap_or_default()
    }

    /// Lines of an app's log, oldest first: entries, and notices about what is missing. `query` is empty or starts
    /// with `?`.
    pub async fn log(&self, app: &str, query: &str) -> Vec<Value> {
        let answer = self.get(&format!("/api/v1/apps/{app}/logs{query}")).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/x-ndjson");
        answer.text().lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }

    /// Fails the test when there is no answer at all.
    pub async fn send(&self, method: Method, path: &str, body: Bytes) -> Answer {
        self.try_send(method.clone(), path, body)
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// For a node that may be gone.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, client::NoAnswer> {
        let request = client::request(self.address, method, path, self.token.as_deref(), body);
        client::send_once(self.address, request).await
    }
}
