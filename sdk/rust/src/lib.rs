#![doc = include_str!("../README.md")]
#![deny(missing_docs, unsafe_code)]

mod app;
mod body;
mod body_writer;
pub mod config;
mod error;
mod handler;
#[cfg(any(test, all(target_os = "wasi", feature = "allocator")))]
#[allow(unsafe_code)]
mod heap;
mod json;
pub mod limits;
mod logger;
mod params;
mod platform;
mod query;
mod request;
mod response;
mod serve;
mod source;
pub mod sse;
#[cfg(not(target_os = "wasi"))]
pub mod testing;
pub mod time;

pub use app::App;
pub use body::Body;
pub use body_writer::BodyWriter;
pub use error::Error;
pub use handler::Handler;
pub use json::Json;
pub use params::Path;
pub use query::Query;
pub use request::{FromRequest, Incoming};
pub use response::{Html, IntoHeaders, IntoResponse};
pub use source::BodyError;

pub use {bytes, http, log, serde_json};

#[doc(hidden)]
pub use serve::private as __private;

/// An answer: the `http` crate's type with the body of this crate.
pub type Response = http::Response<Body>;

/// A result whose error becomes a problem document, see [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
