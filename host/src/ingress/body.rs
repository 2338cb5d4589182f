//! The answer on its way to the client, and the account that is closed when it has left.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{Method, Version};
use http_body::{Body, Frame, SizeHint};
use typecase_runtime::{CallError, GuestBody};

use super::access_log::Line;
use super::caller::Caller;
use super::routes::Route;
use super::stream::Stream;
use super::watch::Activity;

/// The body of every response on the app port.
pub struct IngressBody {
    content: Content,
    /// The answer breaks off, as soon as what was written before is on its way.
    broken: Option<CallError>,
    exchange: Box<Exchange>,
}

enum Content {
    Bytes(Option<Bytes>),
    Guest(GuestBody),
    Stream(Arc<Stream>),
}

/// One request and what became of it; dropping it writes the access log and the metrics.
pub struct Exchange {
    pub caller: Arc<Caller>,
    pub route: Option<Route>,
    pub request_id: Arc<str>,
    pub method: Method,
    pub path: String,
    pub client: IpAddr,
    pub started: Instant,
    /// `CLIENT_LEFT` until there is an answer.
    pub status: u16,
    pub sent_bytes: u64,
    /// What the answer's head announced.
    pub announced_bytes: Option<u64>,
    /// The answer's last byte was handed over.
    pub complete: bool,
    /// Keeps the connection from being taken for an idle one.
    pub activity: Activity,
}

/// What is logged when the client left before there was an answer.
pub const CLIENT_LEFT: u16 = 499;

impl IngressBody {
    pub fn bytes(bytes: Bytes, mut exchange: Box<Exchange>) -> Self {
        let content = Content::Bytes(Some(bytes).filter(|bytes| !bytes.is_empty()));
        exchange.complete |= matches!(content, Content::Bytes(None));
        Self { content, broken: None, exchange }
    }

    pub fn guest(body: GuestBody, version: Version, mut exchange: Box<Exchange>) -> Self {
        // hyper does not ask a body that says it is empty.
        exchange.complete |= body.is_end_stream();
        let content = match body {
            running @ GuestBody::Running(_) if version == Version::HTTP_2 => {
                let stream = Stream::of(running);
                exchange.activity.follow(&stream);
                Content::Stream(stream)
            }
            body => Content::Guest(body),
        };
        Self { content, broken: None, exchange }
    }
}

impl Body for IngressBody {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        let this = self.get_mut();
        if let Some(error) = this.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let is_whole = matches!(this.content, Content::Bytes(_) | Content::Guest(GuestBody::Whole(_)));
        let poll = match &mut this.content {
            Content::Bytes(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Guest(body) => Pin::new(body).poll_frame(cx),
            Content::Stream(stream) => stream.poll_frame(cx),
        };
        let exchange = &mut this.exchange;
        match poll {
            Poll::Ready(Some(Ok(frame))) => {
                exchange.sent_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                // After these, hyper does not ask again.
                exchange.complete =
                    frame.is_trailers() || is_whole || exchange.announced_bytes == Some(exchange.sent_bytes);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                // hyper drops what it has not sent yet, even the head; while we pause, it sends.
                this.broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => {
                exchange.complete = true;
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Bytes(bytes) => bytes.is_none(),
            Content::Guest(body) => body.is_end_stream(),
            Content::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Bytes(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Guest(body) => body.size_hint(),
            Content::Stream(_) => SizeHint::default(),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        let (name, release) = match &self.route {
            Some(Route { app, .. }) => {
                app.metrics.record(self.status, self.sent_bytes, duration, self.complete);
                (app.release.app.as_str(), app.release.number.0)
            }
            None => ("", 0),
        };
        self.caller.ingress.access_log.write(&Line {
            app: name,
            release,
            request_id: &self.request_id,
            client: self.client,
            method: &self.method,
            path: &self.path,
            status: self.status,
            bytes: self.sent_bytes,
            duration,
            complete: self.complete,
        });
    }
}
