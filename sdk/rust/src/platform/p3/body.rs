//! The body of a request.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamResult};
use wasip3::wit_future;

use super::respond::{Outgoing, Sending, send_frames};
use crate::source::Source;
use crate::{BodyError, limits};

type Trailers = FutureReader<Result<Option<Fields>, ErrorCode>>;

/// Read when somebody wants a frame of it.
pub(super) struct IncomingBody(State);

enum State {
    Unread(Request),
    Reading(Pin<Box<dyn Future<Output = Step>>>),
    Ended,
}

/// What one step of reading came to.
enum Step {
    Piece(Vec<u8>, Opened),
    End(Result<Option<Fields>, ErrorCode>),
}

struct Opened {
    stream: StreamReader<u8>,
    trailers: Trailers,
    /// Dropped last: it says that the request was dealt with.
    _result: FutureWriter<Result<(), ErrorCode>>,
}

impl Opened {
    fn open(request: Request) -> Self {
        let (result, reader) = wit_future::new(|| Ok(()));
        let (stream, trailers) = Request::consume_body(request, reader);
        Self { stream, trailers, _result: result }
    }

    async fn step(mut self) -> Step {
        loop {
            let (result, piece) = self.stream.read(Vec::with_capacity(limits::CHUNK_BYTES_MAX)).await;
            if !piece.is_empty() {
                return Step::Piece(piece, self);
            }
            if result == StreamResult::Dropped {
                return Step::End(self.trailers.await);
            }
        }
    }
}

impl IncomingBody {
    pub(super) fn new(request: Request) -> Self {
        Self(State::Unread(request))
    }
}

impl Source for IncomingBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let State::Unread(_) = self.0
            && let State::Unread(request) = mem::replace(&mut self.0, State::Ended)
        {
            self.0 = State::Reading(Box::pin(Opened::open(request).step()));
        }
        let State::Reading(step) = &mut self.0 else { return Poll::Ready(None) };
        match ready!(step.as_mut().poll(cx)) {
            Step::Piece(piece, opened) => {
                self.0 = State::Reading(Box::pin(opened.step()));
                Poll::Ready(Some(Ok(Frame::data(piece.into()))))
            }
            Step::End(result) => {
                self.0 = State::Ended;
                Poll::Ready(match result {
                    Ok(Some(fields)) => Some(Ok(Frame::trailers(super::from_fields(&fields)))),
                    Ok(None) => None,
                    Err(code) => Some(Err(BodyError::Incomplete(code.to_string()))),
                })
            }
        }
    }

    fn send(self: Box<Self>, to: Outgoing) -> Sending {
        match self.0 {
            // The server moves the bytes from one stream to the other; none of them comes through this memory.
            State::Unread(request) => {
                let (_, reader) = wit_future::new(|| Ok(()));
                let (stream, trailers) = Request::consume_body(request, reader);
                Response::new(to, Some(stream), trailers).0
            }
            _ => send_frames(self, to),
        }
    }
}
