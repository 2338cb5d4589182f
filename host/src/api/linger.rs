//! Reads on for a while what a handler has left of a request's body.
//!
//! A connection with an unread body is closed as soon as its answer is written. A client that is still sending then may
//! lose the answer, which says why its upload was refused; one that has sent everything may send its next request into
//! the closing connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use http_body::{Frame, SizeHint};

/// Enough for an answer to get to a client far away.
const TIMEOUT: Duration = Duration::from_secs(1);
/// What is sent in that time by a client nearby; it is thrown away as it comes.
const BYTES_MAX: usize = 64 << 20;

pub async fn linger(request: Request, next: Next) -> Response {
    let is_empty = request.body().is_end_stream();
    let is_sent = !request.headers().contains_key(EXPECT);
    let request = request.map(|body| match is_empty {
        true => body,
        false => Body::new(Lingering { rest: Some(body), is_sent }),
    });
    next.run(request).await
}

struct Lingering {
    /// None once it was read to its end.
    rest: Option<Body>,
    /// False while the client waits to be told to send it, which reading does.
    is_sent: bool,
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.is_sent = true;
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(rest).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.rest = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(rest) = self.rest.take().filter(|rest| self.is_sent && !rest.is_end_stream()) else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(TIMEOUT, read_away(rest.into_data_stream())));
        }
    }
}

async fn read_away(mut rest: BodyDataStream) {
    let mut bytes = 0;
    while let Some(Ok(piece)) = rest.next().await {
        bytes += piece.len();
        if bytes > BYTES_MAX {
            return;
        }
    }
}
