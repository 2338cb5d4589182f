//! Sends the answer.

use std::future::Future;
use std::pin::Pin;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::Frame;
use wasip2::http::types::{
    ErrorCode, Fields, HeaderError, IncomingBody, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::{OutputStream, StreamError};

use super::executor::Waitable;
use crate::body::Content;
use crate::source::Source;
use crate::{Error, Response};

/// Where a body is sent to.
pub(crate) type Outgoing = OutgoingBody;
/// A body on its way.
pub(crate) type Sending = Pin<Box<dyn Future<Output = ()>>>;

/// What the interface takes in one blocking write.
const WRITE_BYTES_MAX: usize = 4096;
/// What the server moves at once from a request to an answer.
const SPLICE_BYTES: u64 = 64 << 10;

/// An answer that breaks off is all that a client can be told once its head has left: its body is dropped without being
/// finished.
struct BrokenOff;

impl From<StreamError> for BrokenOff {
    fn from(_: StreamError) -> Self {
        Self
    }
}

impl From<()> for BrokenOff {
    fn from((): ()) -> Self {
        Self
    }
}

impl From<HeaderError> for BrokenOff {
    fn from(_: HeaderError) -> Self {
        Self
    }
}

/// Sends the head, and the body if it is whole. One that is not goes on by itself.
pub(super) fn respond(response: Response, response_out: ResponseOutparam) -> Option<Sending> {
    let (parts, body) = response.into_parts();
    let fields = match to_fields(&parts.headers, body.kind()) {
        Ok(fields) => fields,
        Err(error) => {
            let reason = format!("the server refuses a header of the answer: {error}");
            refuse(&Error::internal(reason), response_out);
            return None;
        }
    };
    let response = OutgoingResponse::new(fields);
    if parts.status != http::StatusCode::OK {
        // `http` has checked it.
        let _ = response.set_status_code(parts.status.as_u16());
    }
    let body_out = response.body();
    ResponseOutparam::set(response_out, Ok(response));
    // The body of a new response can always be had.
    let outgoing = body_out.ok()?;
    let written = match body.into_content() {
        Content::Static(bytes) => write_whole(bytes, &outgoing),
        Content::Whole(bytes) => write_whole(&bytes, &outgoing),
        Content::Stream(source) => return Some(source.send(outgoing)),
    };
    if written.is_ok() {
        let _ = OutgoingBody::finish(outgoing, None);
    }
    None
}

pub(super) fn refuse(error: &Error, response_out: ResponseOutparam) {
    error.log("no answer could be made");
    ResponseOutparam::set(response_out, Err(ErrorCode::InternalError(Some(error.to_string()))));
}

/// The answer is complete, so nothing else is held up while this waits.
fn write_whole(bytes: &[u8], outgoing: &OutgoingBody) -> Result<(), BrokenOff> {
    if bytes.is_empty() {
        return Ok(());
    }
    let stream = outgoing.write()?;
    for piece in bytes.chunks(WRITE_BYTES_MAX) {
        stream.blocking_write_and_flush(piece)?;
    }
    Ok(())
}

/// Sends frame by frame, as fast as the client takes them.
pub(crate) fn send_frames(source: Box<dyn Source>, outgoing: Outgoing) -> Sending {
    Box::pin(async move {
        if let Ok(trailers) = write_frames(source, &outgoing).await {
            let _ = OutgoingBody::finish(outgoing, trailers);
        }
    })
}

async fn write_frames(
    mut source: Box<dyn Source>,
    outgoing: &OutgoingBody,
) -> Result<Option<Fields>, BrokenOff> {
    let mut writer = Writer { waitable: None, stream: outgoing.write()? };
    let mut trailers = HeaderMap::new();
    while let Some(frame) = std::future::poll_fn(|cx| source.poll_frame(cx)).await {
        match Frame::into_data(frame.map_err(|_| BrokenOff)?) {
            Ok(data) => writer.write(&data).await?,
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    if trailers.is_empty() {
        return Ok(None);
    }
    Ok(Some(to_fields(&trailers, None)?))
}

/// Has the server move the bytes of a request; none of them comes through this memory.
pub(super) fn send_incoming(incoming: IncomingBody, outgoing: Outgoing) -> Sending {
    Box::pin(async move {
        if let Ok(trailers) = splice(incoming, &outgoing) {
            let _ = OutgoingBody::finish(outgoing, trailers);
        }
    })
}

fn splice(incoming: IncomingBody, outgoing: &OutgoingBody) -> Result<Option<Fields>, BrokenOff> {
    let (input, output) = (incoming.stream()?, outgoing.write()?);
    loop {
        match output.blocking_splice(&input, SPLICE_BYTES) {
            Ok(_) => {}
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(_)) => return Err(BrokenOff),
        }
    }
    drop((input, output));
    let trailers = IncomingBody::finish(incoming);
    trailers.subscribe().block();
    match trailers.get() {
        Some(Ok(Ok(trailers))) => Ok(trailers),
        _ => Err(BrokenOff),
    }
}

fn to_fields(headers: &HeaderMap, kind: Option<&str>) -> Result<Fields, HeaderError> {
    let mut entries: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_owned())).collect();
    if let Some(kind) = kind.filter(|_| !headers.contains_key(CONTENT_TYPE)) {
        entries.push((CONTENT_TYPE.as_str().to_owned(), kind.into()));
    }
    Fields::from_list(&entries)
}

// What waits for a stream is dropped before the stream.
struct Writer {
    waitable: Option<Waitable>,
    stream: OutputStream,
}

impl Writer {
    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), BrokenOff> {
        while !bytes.is_empty() {
            let room = self.stream.check_write()?;
            if room == 0 {
                let waitable = self.waitable.get_or_insert_with(|| Waitable::new(self.stream.subscribe()));
                waitable.wait_for().await;
                continue;
            }
            let length = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            self.stream.write(&bytes[..length])?;
            bytes = &bytes[length..];
        }
        Ok(())
    }
}
