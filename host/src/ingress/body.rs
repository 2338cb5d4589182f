//! The answer on its way to the client, and the account that is closed when it has left.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::Method;
use http_body::{Body, Frame, SizeHint};
use typecase_runtime::{CallError, GuestBody};

use super::Ingress;
use super::access_log::Line;
use super::connection::Activity;
use super::routes::AppRoute;

/// The body of every response on the app port.
pub struct IngressBody {
    content: Content,
    sent_bytes: u64,
    complete: bool,
    exchange: Box<Exchange>,
}

enum Content {
    Bytes(Option<Bytes>),
    Guest(GuestBody),
}

/// One request and what became of it; closing it writes the access log and the metrics.
pub struct Exchange {
    pub ingress: Arc<Ingress>,
    pub app: Option<Arc<AppRoute>>,
    pub request_id: Arc<str>,
    pub method: Method,
    pub path: String,
    pub client: IpAddr,
    pub started: Instant,
    pub status: u16,
    /// Keeps the connection from being taken for an idle one.
    pub activity: Activity,
}

impl IngressBody {
    pub fn bytes(bytes: Bytes, exchange: Box<Exchange>) -> Self {
        let content = Content::Bytes(Some(bytes).filter(|bytes| !bytes.is_empty()));
        let complete = matches!(content, Content::Bytes(None));
        Self { content, sent_bytes: 0, complete, exchange }
    }

    pub fn guest(body: GuestBody, exchange: Box<Exchange>) -> Self {
        // hyper does not ask a body that says it is empty.
        let complete = body.is_end_stream();
        Self { content: Content::Guest(body), sent_bytes: 0, complete, exchange }
    }
}

impl Body for IngressBody {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        let this = self.get_mut();
        let poll = match &mut this.content {
            Content::Bytes(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Guest(body) => Pin::new(body).poll_frame(cx),
        };
        match &poll {
            Poll::Ready(Some(Ok(frame))) => {
                this.sent_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                // hyper stops asking when the announced length has been reached.
                this.complete = matches!(this.content, Content::Bytes(_) | Content::Guest(GuestBody::Whole(_)));
            }
            Poll::Ready(None) => this.complete = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Bytes(bytes) => bytes.is_none(),
            Content::Guest(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Bytes(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Content::Guest(body) => body.size_hint(),
        }
    }
}

impl Drop for IngressBody {
    fn drop(&mut self) {
        let exchange = &self.exchange;
        // The body of an answer to HEAD is dropped unread.
        let complete = self.complete || exchange.method == Method::HEAD;
        let duration = exchange.started.elapsed();
        let (name, release) = match &exchange.app {
            Some(app) => {
                app.metrics.record(exchange.status, self.sent_bytes, duration, complete);
                (app.release.app.as_str(), app.release.number.0)
            }
            None => ("", 0),
        };
        exchange.ingress.access_log.write(&Line {
            app: name,
            release,
            request_id: &exchange.request_id,
            client: exchange.client,
            method: &exchange.method,
            path: &exchange.path,
            status: exchange.status,
            bytes: self.sent_bytes,
            duration,
            complete,
        });
    }
}
