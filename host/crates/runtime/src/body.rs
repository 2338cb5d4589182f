//! The body of a component's response.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::WasiBody;

use crate::context::Context as CallContext;
use crate::error::{CallError, CallErrorKind};

/// The rest of a guest's run, polled by whoever reads the response; dropping it ends the guest.
pub(crate) type GuestRun = Pin<Box<dyn Future<Output = Result<(), CallError>> + Send>>;

/// The body of a component's response: whole if the guest has finished, else driven by its reader.
pub enum GuestBody {
    Whole(Option<Bytes>),
    Running(Box<RunningBody>),
}

/// A body whose guest still runs, or that has several frames.
pub struct RunningBody {
    guest: Option<GuestRun>,
    failed: Option<CallError>,
    /// Frames that were looked at already.
    ahead: VecDeque<Frame<Bytes>>,
    frames: WasiBody,
    /// Ends a guest that writes nothing for `timeout_ms`.
    idle: Pin<Box<Sleep>>,
    idle_max: Duration,
    component: Arc<CallContext>,
    request_id: Arc<str>,
}

impl GuestBody {
    pub(crate) fn running(
        guest: Option<GuestRun>,
        ahead: VecDeque<Frame<Bytes>>,
        frames: WasiBody,
        component: Arc<CallContext>,
        request_id: Arc<str>,
    ) -> Self {
        let idle_max = Duration::from_millis(u64::from(component.limits.timeout_ms));
        Self::Running(Box::new(RunningBody {
            guest,
            failed: None,
            ahead,
            frames,
            idle: Box::pin(tokio::time::sleep(idle_max)),
            idle_max,
            component,
            request_id,
        }))
    }
}

impl RunningBody {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        if let Some(frame) = self.ahead.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(guest) = &mut self.guest
            && let Poll::Ready(result) = guest.as_mut().poll(cx)
        {
            self.guest = None;
            self.failed = result.err();
        }
        match Pin::new(&mut self.frames).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.idle.as_mut().reset(Instant::now() + self.idle_max);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let detail = format!("the response body broke off: {error:?}");
                let error = self.failed.take();
                self.fail(error.unwrap_or_else(|| CallError::new(CallErrorKind::Trap, detail)))
            }
            Poll::Ready(None) => match self.failed.take() {
                // What the guest wrote before it failed has been sent; the missing end tells the client.
                Some(error) => self.fail(error),
                None => {
                    self.finish_in_background();
                    Poll::Ready(None)
                }
            },
            Poll::Pending => {
                ready!(self.idle.as_mut().poll(cx));
                self.guest = None;
                let detail =
                    format!("no piece of the response's body came for {:?} (`timeout_ms`)", self.idle_max);
                self.fail(CallError::new(CallErrorKind::Timeout, detail))
            }
        }
    }

    fn fail(&mut self, error: CallError) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        self.component.report(&error, &self.request_id);
        Poll::Ready(Some(Err(error)))
    }

    /// The response is complete; the guest may still tidy up, for as long as it may take for an answer.
    fn finish_in_background(&mut self) {
        if let Some(guest) = self.guest.take()
            && !self.component.outlives_its_requests()
        {
            let (component, request_id) = (self.component.clone(), self.request_id.clone());
            let idle_max = self.idle_max;
            tokio::spawn(async move {
                if let Ok(Err(error)) = tokio::time::timeout(idle_max, guest).await {
                    component.report(&error, &request_id);
                }
            });
        }
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Running(body) => body.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Running(_) => SizeHint::default(),
        }
    }
}
