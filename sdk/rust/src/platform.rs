//! The server's side, in three forms with the same names: WASI 0.2, WASI 0.3, and what stands in for both in native tests.

#[cfg(all(target_os = "wasi", feature = "allocator"))]
#[allow(unsafe_code)]
mod allocator;
#[cfg(target_os = "wasi")]
#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, rustdoc::all)]
#[rustfmt::skip]
mod bindings;
#[cfg(target_os = "wasi")]
mod imports;
#[cfg(target_os = "wasi")]
mod instance;
#[cfg(not(target_os = "wasi"))]
mod native;
#[cfg(all(target_os = "wasi", not(feature = "p3")))]
mod p2;
#[cfg(all(target_os = "wasi", feature = "p3"))]
mod p3;
#[cfg(target_os = "wasi")]
#[allow(unsafe_code)]
mod stdio;

#[cfg(target_os = "wasi")]
pub(crate) use imports::{config_all, config_get, log};
#[cfg(not(target_os = "wasi"))]
pub use native::LogLine;
#[cfg(not(target_os = "wasi"))]
pub(crate) use native::{Request, config_all, config_get, log, sleep};
#[cfg(not(target_os = "wasi"))]
pub(crate) use native::{Surroundings, block_on};
#[cfg(all(target_os = "wasi", not(feature = "p3")))]
pub(crate) use p2::{Outgoing, Request, Sending, exported, send_frames, sleep};
#[cfg(all(target_os = "wasi", feature = "p3"))]
pub(crate) use p3::{Outgoing, Request, Sending, exported, send_frames, sleep};

/// Whether taking the body leaves nothing to ask for the headers.
pub(crate) const BODY_IS_THE_REQUEST: bool = cfg!(all(target_os = "wasi", feature = "p3"));

/// An address as complete as it can be: `http` wants scheme and host together or not at all.
fn uri(mut parts: http::uri::Parts, target: &str) -> http::Uri {
    if parts.scheme.is_none() || parts.authority.is_none() {
        parts = http::uri::Parts::default();
    }
    // What came as an address over HTTP is one.
    parts.path_and_query = target.parse().ok();
    http::Uri::from_parts(parts).unwrap_or_default()
}
