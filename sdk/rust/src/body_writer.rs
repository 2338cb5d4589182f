//! Bodies that an async function writes.

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

#[cfg(target_os = "wasi")]
use crate::platform;
use crate::source::Source;
use crate::{BodyError, Error};

/// Where the function that was given to [`Body::from_writer`](crate::Body::from_writer) writes.
pub struct BodyWriter {
    slot: Rc<RefCell<Slot>>,
}

/// One frame at a time.
#[derive(Default)]
struct Slot {
    frame: Option<Frame<Bytes>>,
    /// Waits for the frame to be taken.
    writer: Option<Waker>,
    /// Waits for a frame. The function may poll its parts with wakers of their own, so each side wakes the other.
    reader: Option<Waker>,
}

impl BodyWriter {
    /// Writes a piece and returns when it was taken. When the client leaves, the function is ended here.
    pub async fn write(&mut self, piece: impl Into<Bytes>) -> Result<(), Error> {
        let piece = piece.into();
        if !piece.is_empty() {
            self.put(Frame::data(piece)).await;
        }
        Ok(())
    }

    /// Writes the trailers; nothing may follow.
    pub async fn write_trailers(mut self, trailers: HeaderMap) -> Result<(), Error> {
        self.put(Frame::trailers(trailers)).await;
        Ok(())
    }

    /// Waits until the frame was taken, so that it leaves before the function goes on to compute or to sleep.
    async fn put(&mut self, frame: Frame<Bytes>) {
        let mut frame = Some(frame);
        poll_fn(|cx| {
            let mut slot = self.slot.borrow_mut();
            if let Some(frame) = frame.take() {
                slot.frame = Some(frame);
                if let Some(reader) = slot.reader.take() {
                    reader.wake();
                }
            }
            if slot.frame.is_none() {
                return Poll::Ready(());
            }
            slot.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl fmt::Debug for BodyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyWriter")
    }
}

/// A function that writes, on its way.
type Writing = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

/// The other end: runs the function when a frame is wanted.
pub(crate) struct Written {
    slot: Rc<RefCell<Slot>>,
    /// Gone when it has ended.
    writer: Option<Writing>,
}

impl Written {
    pub(crate) fn new<W, Fut>(write: W) -> Self
    where
        W: FnOnce(BodyWriter) -> Fut,
        Fut: Future<Output = Result<(), Error>> + 'static,
    {
        let slot = Rc::new(RefCell::new(Slot::default()));
        let writer = write(BodyWriter { slot: slot.clone() });
        Self { slot, writer: Some(Box::pin(writer)) }
    }

    fn take(&mut self) -> Option<Frame<Bytes>> {
        let mut slot = self.slot.borrow_mut();
        let frame = slot.frame.take()?;
        if let Some(writer) = slot.writer.take() {
            writer.wake();
        }
        Some(frame)
    }
}

impl Source for Written {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(writer) = &mut self.writer else { return Poll::Ready(None) };
        self.slot.borrow_mut().reader = Some(cx.waker().clone());
        let ended = writer.as_mut().poll(cx);
        if let Some(frame) = self.take() {
            return Poll::Ready(Some(Ok(frame)));
        }
        let result = std::task::ready!(ended);
        self.writer = None;
        match result {
            Ok(()) => Poll::Ready(None),
            Err(error) => {
                error.log("the body broke off");
                Poll::Ready(Some(Err(BodyError::Incomplete(error.to_string()))))
            }
        }
    }

    #[cfg(target_os = "wasi")]
    fn send(self: Box<Self>, to: platform::Outgoing) -> platform::Sending {
        platform::send_frames(self, to)
    }
}
