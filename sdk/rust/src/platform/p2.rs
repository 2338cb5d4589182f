//! WASI 0.2.

mod body;
mod executor;
mod respond;

use std::mem::ManuallyDrop;
use std::time::Duration;

use http::uri::{Authority, Scheme, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::types::{self as wasi, Fields, IncomingRequest, ResponseOutparam};

use body::IncomingBody;
use executor::Waitable;

use super::instance;
use crate::{App, Body, Incoming};

pub(crate) use respond::{Outgoing, Sending, send_frames};

/// What `serve!` expands to.
pub mod exported {
    pub use wasip2;
    pub use wasip2::exports::http::incoming_handler::Guest;
    pub use wasip2::http::proxy::export;
    pub use wasip2::http::types::{IncomingRequest, ResponseOutparam};

    pub use super::handle;
}

/// Answers one request.
pub fn handle(make: fn() -> App, request: IncomingRequest, response_out: ResponseOutparam) {
    let app = instance::app(make);
    let request = match Incoming::new(Request(request)) {
        Ok(request) => request,
        // Neither the server nor `http` would have let such a request in.
        Err(error) => return respond::refuse(&error, response_out),
    };
    // It is always set; without the way to drop it, the component imports one function less.
    let response_out = ManuallyDrop::new(response_out);
    executor::block_on(async {
        let response = app.respond(request).await;
        if let Some(sending) = respond::respond(response, ManuallyDrop::into_inner(response_out)) {
            sending.await;
        }
    });
}

pub(crate) async fn sleep(duration: Duration) {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    Waitable::new(subscribe_duration(nanoseconds)).wait_for().await;
}

/// A request of which nothing was fetched yet.
pub(crate) struct Request(IncomingRequest);

impl Request {
    pub(crate) fn method(&self) -> Result<Method, String> {
        Ok(match self.0.method() {
            wasi::Method::Get => Method::GET,
            wasi::Method::Head => Method::HEAD,
            wasi::Method::Post => Method::POST,
            wasi::Method::Put => Method::PUT,
            wasi::Method::Delete => Method::DELETE,
            wasi::Method::Connect => Method::CONNECT,
            wasi::Method::Options => Method::OPTIONS,
            wasi::Method::Trace => Method::TRACE,
            wasi::Method::Patch => Method::PATCH,
            wasi::Method::Other(name) => {
                Method::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?
            }
        })
    }

    pub(crate) fn target(&self) -> String {
        self.0.path_with_query().unwrap_or_else(|| "/".to_owned())
    }

    pub(crate) fn uri(&self, target: &str) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = self.0.scheme().and_then(|scheme| match scheme {
            wasi::Scheme::Http => Some(Scheme::HTTP),
            wasi::Scheme::Https => Some(Scheme::HTTPS),
            wasi::Scheme::Other(name) => name.parse().ok(),
        });
        parts.authority = self.0.authority().and_then(|authority| authority.parse::<Authority>().ok());
        super::uri(parts, target)
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        from_fields(&self.0.headers())
    }

    /// None when it was taken before.
    pub(crate) fn take_body(&mut self) -> Option<Body> {
        let body = self.0.consume().ok()?;
        Some(Body::from_source(IncomingBody::new(body)))
    }
}

/// Headers that `http` does not accept are left out; the server lets none of them in.
fn from_fields(fields: &Fields) -> HeaderMap {
    let entries = fields.entries();
    let mut headers = HeaderMap::with_capacity(entries.len());
    for (name, value) in entries {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_maybe_shared(bytes::Bytes::from(value)),
        ) {
            headers.append(name, value);
        }
    }
    headers
}
