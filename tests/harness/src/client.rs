//! A plain HTTP/1.1 client: one connection at a time, no pool, no redirects, no retries, so that a test sees
//! exactly what came over the wire.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::DEADLINE;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A whole answer.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null when it is something else.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header's value; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Fails the test unless the answer has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Fails the test unless the answer is a problem document with this status and code.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Value {
        let problem = self.json();
        assert_eq!((self.status, problem["code"].as_str().unwrap_or("")), (status, code), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem["status"], status);
        for field in ["type", "title", "detail", "request_id"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "no {field}: {problem}");
        }
        problem
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.text().chars().take(2_000).collect();
        write!(f, "{} {:?}\n{text}", self.status, self.headers)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub struct NoAnswer(pub String);

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A connection for requests one after the other.
pub struct Connection {
    pub sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self, NoAnswer> {
        let opening = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(stream)
        };
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, opening)
            .await
            .map_err(|_| NoAnswer(format!("connecting to {address} took too long")))?
            .map_err(|error| NoAnswer(format!("connecting to {address}: {error}")))?;
        let (sender, driver) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| NoAnswer(format!("shaking hands with {address}: {error}")))?;
        // It ends with the connection; what goes wrong shows in the request.
        tokio::spawn(driver);
        Ok(Self { sender })
    }

    /// False when the server has closed it after an answer, as it may at any time: nothing was lost with it.
    pub async fn is_open(&mut self) -> bool {
        // What has come over the wire by now is seen first.
        tokio::task::yield_now().await;
        self.sender.ready().await.is_ok()
    }

    /// Sends a request and gives back the answer's head; the body comes as it comes.
    pub async fn begin(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, NoAnswer> {
        let sent = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        tokio::time::timeout(DEADLINE, sent)
            .await
            .map_err(|_| NoAnswer("no answer within the deadline".to_owned()))?
            .map_err(|error| NoAnswer(format!("the request failed: {}", causes(&error))))
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, NoAnswer> {
        let response = self.begin(request).await?;
        let (head, body) = response.into_parts();
        let body = tokio::time::timeout(DEADLINE, body.collect())
            .await
            .map_err(|_| NoAnswer("the answer did not end within the deadline".to_owned()))?
            .map_err(|error| NoAnswer(format!("the answer broke off: {}", causes(&error))))?;
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
    }
}

/// A GET of a path on an address.
pub fn get(address: SocketAddr, path: &str) -> Request<Full<Bytes>> {
    request(address, Method::GET, path, None, Bytes::new())
}

/// A request as a program sends it; JSON bodies are announced as such.
pub fn request(
    address: SocketAddr,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Bytes,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header(HOST, address.to_string());
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    if body.starts_with(b"{") {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    request.body(Full::new(body)).expect("a test sends well-formed requests")
}

/// Sends one request on a connection of its own.
pub async fn send_once(address: SocketAddr, request: Request<Full<Bytes>>) -> Result<Answer, NoAnswer> {
    let (mut head, body) = request.into_parts();
    head.headers.insert(CONNECTION, http::HeaderValue::from_static("close"));
    Connection::open(address).await?.send(Request::from_parts(head, body)).await
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}
