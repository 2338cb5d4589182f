//! The body of a request.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use wasip2::http::types::{FutureTrailers, IncomingBody as WasiBody};
use wasip2::io::streams::{InputStream, StreamError};

use super::executor::{Wait, Waitable};
use super::respond::{Outgoing, Sending, send_frames, send_incoming};
use crate::source::Source;
use crate::{BodyError, limits};

/// Read when somebody wants a frame of it.
pub(super) struct IncomingBody {
    state: State,
    wait: Option<Wait>,
}

// Children are dropped before what they were made of, in the order of fields.
enum State {
    Unread(WasiBody),
    Data { waitable: Option<Waitable>, stream: InputStream, body: WasiBody },
    Trailers { waitable: Waitable, trailers: FutureTrailers },
    Ended,
}

impl IncomingBody {
    pub(super) fn new(body: WasiBody) -> Self {
        Self { state: State::Unread(body), wait: None }
    }

    fn open(&mut self) -> Result<(), BodyError> {
        if let State::Unread(body) = mem::replace(&mut self.state, State::Ended) {
            let stream =
                body.stream().map_err(|()| BodyError::Incomplete("it was read before".to_owned()))?;
            self.state = State::Data { waitable: None, stream, body };
        }
        Ok(())
    }

    fn finish(&mut self) {
        if let State::Data { waitable, stream, body } = mem::replace(&mut self.state, State::Ended) {
            drop(waitable);
            drop(stream);
            let trailers = WasiBody::finish(body);
            let waitable = Waitable::new(trailers.subscribe());
            self.state = State::Trailers { waitable, trailers };
        }
    }
}

impl Source for IncomingBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(Pin::new(wait).poll(cx));
                self.wait = None;
            }
            match &mut self.state {
                State::Unread(_) => self.open()?,
                State::Data { waitable, stream, .. } => match stream.read(limits::CHUNK_BYTES_MAX as u64) {
                    Ok(piece) if piece.is_empty() => {
                        let waitable = waitable.get_or_insert_with(|| Waitable::new(stream.subscribe()));
                        self.wait = Some(waitable.wait_for());
                    }
                    Ok(piece) => return Poll::Ready(Some(Ok(Frame::data(piece.into())))),
                    Err(StreamError::Closed) => self.finish(),
                    Err(StreamError::LastOperationFailed(error)) => {
                        let reason = error.to_debug_string();
                        drop(error);
                        self.state = State::Ended;
                        return Poll::Ready(Some(Err(BodyError::Incomplete(reason))));
                    }
                },
                State::Trailers { waitable, trailers } => {
                    let Some(result) = trailers.get() else {
                        self.wait = Some(waitable.wait_for());
                        continue;
                    };
                    self.state = State::Ended;
                    return Poll::Ready(match result {
                        Ok(Ok(Some(fields))) => Some(Ok(Frame::trailers(super::from_fields(&fields)))),
                        Ok(Ok(None)) | Err(()) => None,
                        Ok(Err(code)) => Some(Err(BodyError::Incomplete(code.to_string()))),
                    });
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }

    fn send(self: Box<Self>, to: Outgoing) -> Sending {
        match self.state {
            State::Unread(body) => send_incoming(body, to),
            _ => send_frames(self, to),
        }
    }
}
