//! One request: to `typecase dev` itself, or to the app.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::sync::watch;

use super::forward::Forwarder;
use super::{BoxError, ProxyBody, page, plain};
use crate::dev::overlay::{self, CLIENT_PATH, EVENTS_PATH};
use crate::dev::state::{DevState, SharedState};

/// Everything that `typecase dev` answers itself; no app ever sees these paths.
const OWN_PREFIX: &str = "/.well-known/typecase/dev/";

/// So often a silent stream of events says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Tells programs that an answer is of an older release than the source.
const X_TYPECASE_DEV: HeaderName = HeaderName::from_static("x-typecase-dev");

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

pub struct Service {
    state: SharedState,
    /// Nobody outside of this machine can reach us.
    is_private: bool,
    forwarder: Forwarder,
}

impl Service {
    pub fn new(state: SharedState, is_private: bool) -> Self {
        Self { state, is_private, forwarder: Forwarder::new() }
    }

    pub async fn answer(&self, mut request: Request<Incoming>) -> Response<ProxyBody> {
        // Taken before the node is asked: the answer is of this release, or of a newer one.
        let state = self.state.now();
        let path = request.uri().path();
        if path.starts_with(OWN_PREFIX) {
            if self.is_private && !is_name_of_this_machine(host(&request)) && !leads_to_app(&state, &request)
            {
                let detail = "this name is none of this machine or of the app\n".to_owned();
                return text(StatusCode::FORBIDDEN, "text/plain; charset=utf-8", detail);
            }
            return self.own(path, request.uri().query());
        }
        if path == "/" && is_read(request.method()) && !leads_to_app(&state, &request) {
            return redirect(&format!("/{}/", state.app));
        }
        let is_page = is_page(request.method(), request.headers());
        let is_window = is_page && is_window(request.headers());
        let Some(node) = state.node else { return instead(&state, is_page) };
        if is_page {
            page::ask_for_plain(request.headers_mut());
        }
        let Ok(mut response) = self.forwarder.forward(request, node).await else {
            let mut state = state;
            state.node = None;
            return instead(&state, is_page);
        };
        if let Some(trouble) = state.shown_trouble()
            && let Ok(value) = HeaderValue::try_from(format!("{}; {}", trouble.title, state.what_serves()))
        {
            response.headers_mut().insert(X_TYPECASE_DEV, value);
        }
        match (is_page, is_window) {
            (true, true) => plain::in_window(response, &state.mark()),
            (true, false) => page::with_script(response, &state.mark()),
            (false, _) => response,
        }
    }

    fn own(&self, path: &str, query: Option<&str>) -> Response<ProxyBody> {
        static CLIENT: OnceLock<String> = OnceLock::new();
        match path {
            CLIENT_PATH => {
                let client = CLIENT.get_or_init(overlay::client);
                text(StatusCode::OK, "text/javascript; charset=utf-8", client.clone())
            }
            EVENTS_PATH => {
                let request_id = query.and_then(|query| query.strip_prefix("request="));
                events(self.state.changes(), request_id.map(str::to_owned))
            }
            _ => text(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "not found\n".to_owned()),
        }
    }
}

/// The state now, and again whenever it changes.
fn events(mut changes: watch::Receiver<DevState>, request_id: Option<String>) -> Response<ProxyBody> {
    changes.mark_changed();
    let events = stream::unfold((changes, request_id), |(mut changes, request_id)| async move {
        let event = match tokio::time::timeout(HEARTBEAT, changes.changed()).await {
            Ok(Ok(())) => {
                let document = changes.borrow_and_update().document(request_id.as_deref());
                format!("data: {document}\n\n")
            }
            Ok(Err(_)) => return None,
            Err(_) => ": still here\n\n".to_owned(),
        };
        Some((Ok::<_, BoxError>(Frame::data(Bytes::from(event))), (changes, request_id)))
    });
    let mut response = Response::new(StreamBody::new(events).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether the request asks for something that a person will look at in a window or a frame of its own.
fn is_page(method: &Method, headers: &HeaderMap) -> bool {
    if *method != Method::GET && *method != Method::POST {
        return false;
    }
    match headers.get(SEC_FETCH_DEST) {
        Some(place) => ["document", "iframe", "frame"].iter().any(|page| place == page),
        // Browsers leave it out where the connection is not trustworthy; programs do not ask for HTML first.
        None => headers
            .get(ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.starts_with("text/html") || accept.starts_with("application/xhtml")),
    }
}

/// Whether what is looked at has a window of its own, as far as the browser says.
fn is_window(headers: &HeaderMap) -> bool {
    headers.get(SEC_FETCH_DEST).is_none_or(|place| place == "document")
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Whether the host name alone says which app is meant, as the node's own table of routes does.
fn leads_to_app(state: &DevState, request: &Request<Incoming>) -> bool {
    let name = host(request);
    state.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

/// A web page that has its name resolved to this machine must not read what a compiler says about the source.
fn is_name_of_this_machine(name: &str) -> bool {
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    is_address || name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

/// The name that the client used, without a port.
fn host(request: &Request<Incoming>) -> &str {
    if let Some(host) = request.uri().host() {
        return host;
    }
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        // In `[::1]` the last colon belongs to the address.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.trim_end_matches('.')
}

fn redirect(to: &str) -> Response<ProxyBody> {
    let mut response = text(StatusCode::TEMPORARY_REDIRECT, "text/plain; charset=utf-8", format!("{to}\n"));
    if let Ok(location) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// The answer while there is no node, and before anything serves.
fn instead(state: &DevState, is_page: bool) -> Response<ProxyBody> {
    let mut response = match is_page {
        true => text(StatusCode::SERVICE_UNAVAILABLE, "text/html; charset=utf-8", overlay::page(state)),
        false => {
            let detail = "typecase dev has no node to ask at the moment: its terminal says why\n";
            text(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", detail.to_owned())
        }
    };
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn text(status: StatusCode, content_type: &'static str, text: String) -> Response<ProxyBody> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
