//! One HTTP/1.1 connection of ours: shows each failure, which wrk does not.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Longer than any answer that still counts as one, a cold publish of a large guest included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

/// A connection that is kept for the next request, and renewed when the server closes it in between.
#[derive(Debug)]
pub struct Connection {
    address: String,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), sender: None }
    }

    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, None, Bytes::new()).await
    }

    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Bytes,
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).header("host", &self.address);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.starts_with(b"{") {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::new(body))?;

        let mut sender = self.ready().await?;
        let exchange = async {
            let response = sender.send_request(request).await.context("the request failed")?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.context("the answer broke off")?;
            anyhow::Ok(Answer { status, body: body.to_bytes() })
        };
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, exchange)
            .await
            .with_context(|| format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))??;
        self.sender = Some(sender);
        Ok(answer)
    }

    /// The connection that is kept, if the server still wants it, or a new one.
    async fn ready(&mut self) -> Result<SendRequest<Full<Bytes>>> {
        if let Some(mut kept) = self.sender.take()
            && kept.ready().await.is_ok()
        {
            return Ok(kept);
        }
        tokio::time::timeout(CONNECT_TIMEOUT, connect(&self.address))
            .await
            .context("connecting took too long")?
    }

    /// Makes the next request open a new connection.
    pub fn close(&mut self) {
        self.sender = None;
    }
}

pub async fn get_once(address: &str, path: &str) -> Result<Answer> {
    Connection::new(address).get(path).await
}

async fn connect(address: &str) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    let (sender, driver) = handshake(TokioIo::new(stream)).await?;
    // It ends with the connection; what goes wrong there shows in the request.
    tokio::spawn(driver);
    Ok(sender)
}
