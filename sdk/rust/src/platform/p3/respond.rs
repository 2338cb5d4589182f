//! Sends the answer.

use std::future::poll_fn;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use wasip3::http::types::{ErrorCode, Fields, Response as WasiResponse};
use wasip3::wit_bindgen::{FutureWriter, StreamWriter};
use wasip3::{wit_future, wit_stream};

use super::to_fields;
use crate::body::Content;
use crate::source::Source;
use crate::{Body, Error, Response};

/// A body is sent with its answer, so this is what is there of it.
pub(crate) type Outgoing = Fields;
/// The answer, whose body is on its way.
pub(crate) type Sending = WasiResponse;

type Trailers = Result<Option<Fields>, ErrorCode>;

pub(super) fn respond(response: Response) -> Result<WasiResponse, ErrorCode> {
    let (parts, body) = response.into_parts();
    let fields = to_fields(&parts.headers, body.kind()).map_err(|error| {
        refusal(&Error::internal(format!("the server refuses a header of the answer: {error}")))
    })?;
    let response = respond_with(fields, body);
    if parts.status != http::StatusCode::OK {
        // `http` has checked it.
        let _ = response.set_status_code(parts.status.as_u16());
    }
    Ok(response)
}

pub(super) fn refusal(error: &Error) -> ErrorCode {
    error.log("no answer could be made");
    ErrorCode::InternalError(Some(error.to_string()))
}

fn respond_with(fields: Fields, body: Body) -> WasiResponse {
    let bytes = match body.into_content() {
        Content::Static(bytes) => bytes.to_vec(),
        Content::Whole(bytes) => bytes.into(),
        Content::Stream(source) => return source.send(fields),
    };
    // Dropping its writer says that there are no trailers.
    let (_, trailers) = wit_future::new(|| Ok(None));
    if bytes.is_empty() {
        return WasiResponse::new(fields, None, trailers).0;
    }
    let (mut writer, stream) = wit_stream::new();
    // The body is read only after the response has been returned.
    wasip3::spawn_local(async move {
        writer.write_all(bytes).await;
    });
    WasiResponse::new(fields, Some(stream), trailers).0
}

/// Sends frame by frame, as fast as the client takes them.
pub(crate) fn send_frames(source: Box<dyn Source>, fields: Outgoing) -> Sending {
    let (writer, stream) = wit_stream::new();
    // An answer that breaks off is all that a client can be told once its head has left.
    let (ended, trailers) =
        wit_future::new(|| Err(ErrorCode::InternalError(Some("the body broke off".to_owned()))));
    wasip3::spawn_local(send(source, writer, ended));
    WasiResponse::new(fields, Some(stream), trailers).0
}

async fn send(mut source: Box<dyn Source>, mut writer: StreamWriter<u8>, ended: FutureWriter<Trailers>) {
    let mut trailers = HeaderMap::new();
    loop {
        match poll_fn(|cx| source.poll_frame(cx)).await {
            Some(Ok(frame)) => match Frame::into_data(frame) {
                Ok(data) => {
                    // What could not be written is given back: the client has left.
                    if !writer.write_all(Bytes::into(data)).await.is_empty() {
                        return;
                    }
                }
                Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
            },
            None => break,
            Some(Err(_)) => return,
        }
    }
    drop(writer);
    if trailers.is_empty() {
        let _ = ended.write(Ok(None)).await;
    } else if let Ok(fields) = to_fields(&trailers, None) {
        let _ = ended.write(Ok(Some(fields))).await;
    }
}
