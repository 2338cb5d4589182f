//! Speaks to a node's API: deadlines on everything, problems turned into failures.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::GlobalArguments;
use super::credentials::{self, Credentials};
use super::failure::{Exit, Failure};
use super::server::Server;

/// A node that does not take a connection in this time is as good as gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Reading lists takes milliseconds; this is for a server under heavy load.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Answers are lists of at most thousands of releases.
const ANSWER_BYTES_MAX: usize = 32 << 20;

#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    server: Server,
    credentials: Credentials,
}

/// A request's body that is sent as it is read.
#[derive(Debug)]
pub struct Upload {
    pub body: Body,
    pub size_bytes: u64,
    pub content_type: &'static str,
}

impl Client {
    pub fn new(global: &GlobalArguments) -> Result<Self, Failure> {
        let server = Server::of(global)?;
        let credentials = credentials::find(global, &server)?;
        let http = http_client(&server).map_err(|error| {
            Failure::local(Exit::Failed, "no-client", format!("cannot prepare the connection: {error}"))
        })?;
        Ok(Self { http, server, credentials })
    }

    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.answer(self.request(Method::GET, path), READ_TIMEOUT).await.map_err(not_a_rollout)
    }

    pub async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.answer(self.request(Method::DELETE, path), READ_TIMEOUT).await.map_err(not_a_rollout)
    }

    pub async fn post(&self, path: &str, body: &Value, timeout: Duration) -> Result<Value, Failure> {
        self.answer(self.request(Method::POST, path).json(body), timeout).await
    }

    pub async fn patch(&self, path: &str, body: &Value, timeout: Duration) -> Result<Value, Failure> {
        self.answer(self.request(Method::PATCH, path).json(body), timeout).await
    }

    pub async fn put(
        &self,
        path: &str,
        query: &[(&str, String)],
        upload: Upload,
        timeout: Duration,
    ) -> Result<Value, Failure> {
        self.send(Method::PUT, path, query, upload, timeout).await
    }

    pub async fn post_upload(
        &self,
        path: &str,
        query: &[(&str, String)],
        upload: Upload,
        timeout: Duration,
    ) -> Result<Value, Failure> {
        self.send(Method::POST, path, query, upload, timeout).await.map_err(not_a_rollout)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        upload: Upload,
        timeout: Duration,
    ) -> Result<Value, Failure> {
        let request = self
            .request(method, path)
            .query(query)
            .header(reqwest::header::CONTENT_TYPE, upload.content_type)
            .header(reqwest::header::CONTENT_LENGTH, upload.size_bytes)
            .body(upload.body);
        self.answer(request, timeout).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.server.url));
        match self
            .credentials
            .token
            .as_ref()
            .map(|token| HeaderValue::try_from(format!("Bearer {}", token.expose())))
        {
            Some(Ok(mut value)) => {
                value.set_sensitive(true);
                request.header(AUTHORIZATION, value)
            }
            // A token that is no header value is none that any server gave out: its refusal says so.
            Some(Err(_)) | None => request,
        }
    }

    /// An answer that comes in pieces, for as long as it takes.
    pub async fn stream(&self, path: &str, query: &[(&str, String)]) -> Result<Response, Failure> {
        let sent = self.request(Method::GET, path).query(query).send();
        match tokio::time::timeout(READ_TIMEOUT, sent).await {
            Ok(Ok(response)) => self.accepted(response).await,
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Err(_) => Err(self.lost(&"it did not answer in time")),
        }
    }

    /// What a connection that was lost in the middle of an answer comes to.
    pub fn lost(&self, reason: &dyn std::fmt::Display) -> Failure {
        let detail = format!("lost the connection to {}: {reason}", self.server.url);
        Failure::local(Exit::Unreachable, "server-unreachable", detail)
    }

    async fn answer(&self, request: RequestBuilder, timeout: Duration) -> Result<Value, Failure> {
        let response = request.timeout(timeout).send().await.map_err(|error| self.unreachable(&error))?;
        let bytes = self.read(self.accepted(response).await?).await?;
        match serde_json::from_slice(&bytes).unwrap_or(Value::Null) {
            Value::Null if !bytes.is_empty() => {
                let detail =
                    format!("{} did not answer in JSON: is it a node's admin address?", self.server.url);
                Err(Failure::local(Exit::Unreachable, "not-a-node", detail))
            }
            document => Ok(document),
        }
    }

    /// An answer that is no refusal.
    async fn accepted(&self, response: Response) -> Result<Response, Failure> {
        let status = response.status();
        if status.is_redirection() {
            let detail = format!(
                "{} answers with a redirect ({status}): is it a node's admin address?",
                self.server.url
            );
            return Err(Failure::local(Exit::Unreachable, "redirected", detail));
        }
        if status.is_success() {
            return Ok(response);
        }
        let bytes = self.read(response).await?;
        let document = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let failure = Failure::from_server(status.as_u16(), document);
        Err(match status.as_u16() {
            401 => failure.advise(self.advice_on_tokens()),
            _ => failure,
        })
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                let detail = format!("{} answers more than {ANSWER_BYTES_MAX} bytes", self.server.url);
                return Err(Failure::local(Exit::Failed, "answer-too-large", detail));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn advice_on_tokens(&self) -> String {
        match self.credentials.token {
            Some(_) => format!(
                "{} was refused: give another with --token, or --data DIR of the node you mean",
                self.credentials.origin
            ),
            None => format!(
                "{}: give one with --token or TYPECASE_TOKEN, or on the node's machine its folder with --data DIR",
                self.credentials.origin
            ),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let url = &self.server.url;
        if error.is_timeout() && !error.is_connect() {
            return Failure::local(Exit::NotConverged, "no-answer", format!("{url} did not answer in time"));
        }
        let what = if error.is_connect() { "cannot reach" } else { "lost the connection to" };
        let detail = format!("{what} {url}: {}", root_cause(error));
        let failure = Failure::local(Exit::Unreachable, "server-unreachable", detail);
        match error.is_connect() && self.server.is_loopback() {
            true => failure.advise("start a node with `typecase node`, or give --server URL".to_owned()),
            false => failure,
        }
    }
}

/// A server that does not answer is out of reach, unless a rollout was asked of it, which may go on.
fn not_a_rollout(failure: Failure) -> Failure {
    match failure.exit {
        Exit::NotConverged => Failure { exit: Exit::Unreachable, ..failure },
        _ => failure,
    }
}

/// reqwest's own text repeats the URL and says nothing; the innermost cause is what people search for.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Asks for a path without a token and without an interest in the answer's body.
pub fn probe(server: &Server, path: &str, timeout: Duration) -> Result<StatusCode, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let http = http_client(server).map_err(|error| error.to_string())?;
    let request = http.get(format!("{}{path}", server.url)).timeout(timeout);
    let response = runtime.block_on(async { request.send().await }).map_err(|error| root_cause(&error))?;
    Ok(response.status())
}

fn http_client(server: &Server) -> reqwest::Result<reqwest::Client> {
    // One provider for the whole process; a second call finds it there and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("typecase/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        // A redirect would carry the token elsewhere.
        .redirect(reqwest::redirect::Policy::none());
    if server.is_loopback() {
        // A proxy that the environment names cannot reach this machine's loopback.
        builder = builder.no_proxy();
    }
    builder.build()
}
