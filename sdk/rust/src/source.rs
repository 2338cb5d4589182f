//! Where the pieces of a body come from, and why they may not all come.

use std::fmt;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};

use crate::Error;
#[cfg(target_os = "wasi")]
use crate::platform;

/// Where the pieces of a body come from.
pub(crate) trait Source {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>>;

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }

    /// Sends all of it as the body of an answer.
    #[cfg(target_os = "wasi")]
    fn send(self: Box<Self>, to: platform::Outgoing) -> platform::Sending;
}

/// Why a body could not be read to its end. As an [`Error`] it has the status that is named here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// The body is longer than the limit, in bytes: 413, code `body-too-large`.
    TooLarge(usize),
    /// The body ends before it is complete, or whoever makes it failed: 400, code `body-incomplete`.
    Incomplete(String),
    /// The text is not UTF-8: 400, code `body-not-utf8`.
    NotUtf8,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(limit) => {
                write!(f, "The body is longer than {limit} bytes, the most that is read here.")
            }
            Self::Incomplete(reason) => write!(f, "The body ended before it was complete: {reason}."),
            Self::NotUtf8 => f.write_str("The body is not UTF-8 text."),
        }
    }
}

impl std::error::Error for BodyError {}

impl BodyError {
    pub(crate) fn to_error(&self) -> Error {
        let (status, code) = match self {
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
            Self::Incomplete(_) => (StatusCode::BAD_REQUEST, "body-incomplete"),
            Self::NotUtf8 => (StatusCode::BAD_REQUEST, "body-not-utf8"),
        };
        Error::new(status, code, self.to_string())
    }
}
