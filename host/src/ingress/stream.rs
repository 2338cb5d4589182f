//! A guest's answer over HTTP/2, which ends when its client has stopped reading.
//!
//! Over HTTP/1.1 the kernel ends a connection that takes nothing. A stream of HTTP/2 can stand still for ever
//! on a connection that is alive, and with it the guest; the connection's other streams must not suffer.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame};
use typecase_runtime::{CallError, CallErrorKind, GuestBody};

/// In place of a time: the client waits for the guest, not the guest for the client.
const WANTED: u64 = u64::MAX;

pub struct Stream {
    /// None once it was ended.
    body: Mutex<Option<GuestBody>>,
    origin: Instant,
    /// When the last piece was handed over that no further one was asked for after.
    handed_ms: AtomicU64,
}

impl Stream {
    pub fn of(body: GuestBody) -> Arc<Self> {
        Arc::new(Self { body: Mutex::new(Some(body)), origin: Instant::now(), handed_ms: AtomicU64::new(0) })
    }

    pub fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(body) = &mut *body else {
            let detail = "the client stopped reading the answer".to_owned();
            return Poll::Ready(Some(Err(CallError::new(CallErrorKind::ClientTimeout, detail))));
        };
        let poll = Pin::new(body).poll_frame(cx);
        let handed_ms = if poll.is_ready() { self.origin.elapsed().as_millis() as u64 } else { WANTED };
        self.handed_ms.store(handed_ms, Ordering::Relaxed);
        poll
    }

    /// Drops the guest if its client has asked for nothing for so long.
    pub fn end_if_stalled(&self, allowed: Duration) {
        let handed_ms = self.handed_ms.load(Ordering::Relaxed);
        let now_ms = self.origin.elapsed().as_millis() as u64;
        if handed_ms != WANTED && now_ms.saturating_sub(handed_ms) > allowed.as_millis() as u64 {
            let ended = self.body.lock().unwrap_or_else(PoisonError::into_inner).take();
            if ended.is_some() {
                tracing::debug!("a client reads its answer no longer: the guest is ended");
            }
        }
    }
}
