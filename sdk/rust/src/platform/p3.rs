//! WASI 0.3, where the server itself waits for several things at a time.

mod body;
mod respond;

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::uri::{Authority, Scheme, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use wasip3::http::types::{self as wasi, Fields};

use body::IncomingBody;

use super::instance;
use crate::{App, Body, Incoming};

pub(crate) use respond::{Outgoing, Sending, send_frames};

/// What `serve!` expands to.
pub mod exported {
    pub use wasip3;
    pub use wasip3::exports::http::handler::Guest;
    pub use wasip3::http::service::export;
    pub use wasip3::http::types::{ErrorCode, Request, Response};

    pub use super::handle;
}

/// Answers one request.
pub async fn handle(make: fn() -> App, request: wasi::Request) -> Result<wasi::Response, wasi::ErrorCode> {
    let app = instance::app(make);
    match Incoming::new(Request(Some(request))) {
        Ok(request) => respond::respond(app.respond(request).await),
        // Neither the server nor `http` would have let such a request in.
        Err(error) => Err(respond::refusal(&error)),
    }
}

pub(crate) async fn sleep(duration: Duration) {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    wasip3::clocks::monotonic_clock::wait_for(nanoseconds).await;
}

/// A request of which nothing was fetched yet; gone once its body was taken.
pub(crate) struct Request(Option<wasi::Request>);

impl Request {
    pub(crate) fn method(&self) -> Result<Method, String> {
        let method = self.0.as_ref().map_or(wasi::Method::Get, wasi::Request::get_method);
        Ok(match method {
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
        self.0.as_ref().and_then(wasi::Request::get_path_with_query).unwrap_or_else(|| "/".to_owned())
    }

    pub(crate) fn uri(&self, target: &str) -> Uri {
        let mut parts = http::uri::Parts::default();
        if let Some(request) = &self.0 {
            parts.scheme = request.get_scheme().and_then(|scheme| match scheme {
                wasi::Scheme::Http => Some(Scheme::HTTP),
                wasi::Scheme::Https => Some(Scheme::HTTPS),
                wasi::Scheme::Other(name) => name.parse().ok(),
            });
            parts.authority = request.get_authority().and_then(|host| host.parse::<Authority>().ok());
        }
        super::uri(parts, target)
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        self.0.as_ref().map(|request| from_fields(&request.get_headers())).unwrap_or_default()
    }

    pub(crate) fn take_body(&mut self) -> Option<Body> {
        Some(Body::from_source(IncomingBody::new(self.0.take()?)))
    }
}

/// Headers that `http` does not accept are left out; the server lets none of them in.
fn from_fields(fields: &Fields) -> HeaderMap {
    let entries = fields.copy_all();
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

fn to_fields(headers: &HeaderMap, kind: Option<&str>) -> Result<Fields, wasi::HeaderError> {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name.as_str(), value.as_bytes())?;
    }
    if let Some(kind) = kind.filter(|_| !headers.contains_key(CONTENT_TYPE)) {
        fields.append(CONTENT_TYPE.as_str(), kind.as_bytes())?;
    }
    Ok(fields)
}
