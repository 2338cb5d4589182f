//! The body of a request on its way to a guest.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use wasmtime_wasi_http::Error;

/// How long, and how much of, a body that nobody wants is still read after the answer: a client that sends
/// without looking would otherwise see a reset connection in place of the answer.
const LINGER_MAX: Duration = Duration::from_secs(5);
const LINGER_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// A client's body with the app's limit, or none at all.
pub enum RequestBody {
    Empty,
    Limited(LimitedBody),
}

/// Ends with an error once more than `left_bytes` have come, and remembers that it did.
pub struct LimitedBody {
    /// None only while it is dropped.
    body: Option<Incoming>,
    left_bytes: u64,
    max_bytes: u64,
    /// The client sends only when it is asked to, which reading does.
    waits_for_continue: bool,
    fate: BodyFate,
}

/// Tells whoever sent the request what became of its body.
#[derive(Debug, Clone, Default)]
pub struct BodyFate(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    exceeded: AtomicBool,
    awaited: AtomicBool,
}

impl BodyFate {
    /// The body was larger than allowed.
    pub fn exceeded(&self) -> bool {
        self.0.exceeded.load(Ordering::Relaxed)
    }

    /// Somebody wants the next piece, and the client has not sent it.
    pub fn awaited(&self) -> bool {
        self.0.awaited.load(Ordering::Relaxed)
    }
}

impl RequestBody {
    /// Wraps a client's body of unknown or checked length; also returns what will tell its fate.
    pub fn limited(body: Incoming, max_bytes: u64, waits_for_continue: bool) -> (Self, BodyFate) {
        let fate = BodyFate::default();
        let limited = LimitedBody {
            body: Some(body),
            left_bytes: max_bytes,
            max_bytes,
            waits_for_continue,
            fate: fate.clone(),
        };
        (Self::Limited(limited), fate)
    }

    pub(crate) fn fate(&self) -> Option<BodyFate> {
        match self {
            Self::Empty => None,
            Self::Limited(limited) => Some(limited.fate.clone()),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Self::Limited(limited) = self.get_mut() else {
            return Poll::Ready(None);
        };
        let Some(body) = &mut limited.body else {
            return Poll::Ready(None);
        };
        limited.waits_for_continue = false;
        let poll = Pin::new(body).poll_frame(cx);
        limited.fate.0.awaited.store(poll.is_pending(), Ordering::Relaxed);
        let frame = match poll {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        if let Some(data) = frame.data_ref() {
            match limited.left_bytes.checked_sub(data.len() as u64) {
                Some(left) => limited.left_bytes = left,
                None => {
                    limited.fate.0.exceeded.store(true, Ordering::Relaxed);
                    let error = Error::HttpRequestBodySize(Some(limited.max_bytes));
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Limited(limited) => limited.body.as_ref().is_none_or(Body::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Limited(LimitedBody { body: Some(body), .. }) => body.size_hint(),
            Self::Empty | Self::Limited(_) => SizeHint::with_exact(0),
        }
    }
}

impl Drop for LimitedBody {
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && !body.is_end_stream()
            && !self.waits_for_continue
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(LINGER_MAX, discard(body)));
        }
    }
}

/// Reads to the end, or until it is too much.
async fn discard(mut body: Incoming) {
    let mut read_bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if read_bytes > LINGER_BYTES_MAX {
            return;
        }
    }
}
