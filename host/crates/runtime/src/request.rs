//! The body of a request on its way to a guest.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use wasmtime_wasi_http::Error;

/// A client's body with the app's limit, or none at all.
pub enum RequestBody {
    Empty,
    Limited(LimitedBody),
}

/// Ends with an error once more than `left_bytes` have come, and remembers that it did.
pub struct LimitedBody {
    body: Incoming,
    left_bytes: u64,
    max_bytes: u64,
    exceeded: BodyExceeded,
}

/// Tells whoever sent the request whether its body was larger than allowed.
#[derive(Debug, Clone, Default)]
pub struct BodyExceeded(Arc<AtomicBool>);

impl BodyExceeded {
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl RequestBody {
    /// Wraps a client's body of unknown or checked length; also returns the flag that it may raise.
    pub fn limited(body: Incoming, max_bytes: u64) -> (Self, BodyExceeded) {
        let exceeded = BodyExceeded::default();
        let limited = LimitedBody { body, left_bytes: max_bytes, max_bytes, exceeded: exceeded.clone() };
        (Self::Limited(limited), exceeded)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Self::Limited(limited) = self.get_mut() else {
            return Poll::Ready(None);
        };
        let frame = match Pin::new(&mut limited.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        if let Some(data) = frame.data_ref() {
            match limited.left_bytes.checked_sub(data.len() as u64) {
                Some(left) => limited.left_bytes = left,
                None => {
                    limited.exceeded.0.store(true, Ordering::Relaxed);
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
            Self::Limited(limited) => limited.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Limited(limited) => limited.body.size_hint(),
        }
    }
}
