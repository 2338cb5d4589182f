//! One request, top to bottom: name it, route it, learn who asks, answer it, account for it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, LOCATION};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;

use super::Ingress;
use super::body::{CLIENT_LEFT, Exchange, IngressBody};
use super::caller::Caller;
use super::dispatch::{self, Answer, AppPath};
use super::error_page::ErrorPage;
use super::routes::Route;
use super::watch::Activity;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Paths of the server itself on the app port.
const HEALTH_PATH: &str = "/.well-known/typecase/health";
const USER_SERVICE_PREFIX: &str = "/UserService/";

/// Answers one request. Never fails: what goes wrong becomes an error page.
pub async fn handle(
    caller: Arc<Caller>,
    activity: Activity,
    mut request: Request<Incoming>,
) -> Response<IngressBody> {
    let started = Instant::now();
    let request_id: Arc<str> = {
        let mut buffer = uuid::Uuid::encode_buffer();
        // Without the counter that orders those of one millisecond: all threads would fight for it.
        let now = uuid::Timestamp::now(uuid::NoContext);
        Arc::from(&*uuid::Uuid::new_v7(now).hyphenated().encode_lower(&mut buffer))
    };
    let id_header = HeaderValue::from_str(&request_id).unwrap_or_else(|_| HeaderValue::from_static(""));
    request.headers_mut().insert(X_REQUEST_ID, id_header.clone());

    let ingress = &caller.ingress;
    let route = find_route(ingress, &request);
    let client = ingress.forwarding.apply(&caller.peer, route.as_ref().and_then(Route::prefix), &mut request);
    let mut exchange = Box::new(Exchange {
        caller: caller.clone(),
        route,
        request_id: request_id.clone(),
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        client: client.ip,
        started,
        status: CLIENT_LEFT,
        sent_bytes: 0,
        announced_bytes: None,
        complete: false,
        activity,
    });
    let version = request.version();

    // An error page needs to know what the client accepts, and the component takes the request's headers.
    let accept = request.headers().get(http::header::ACCEPT).cloned();
    let answer = match &exchange.route {
        _ if let Some(page) = refused(&request) => Answer::Error(page),
        None => {
            let answer = without_app(ingress, request.uri().path());
            dispatch::discard_body(request);
            answer
        }
        Some(route) => within_app(route, request, client.https, request_id.clone()).await,
    };
    let mut response = match answer {
        Answer::Asset(response) => response.map(Content::Bytes),
        Answer::Guest(response) => response.map(Content::Guest),
        Answer::Error(page) => {
            let mut headers = http::HeaderMap::new();
            headers.extend(accept.map(|accept| (http::header::ACCEPT, accept)));
            page.into_response(&headers, &request_id).map(Content::Bytes)
        }
    };
    response.headers_mut().insert(X_REQUEST_ID, id_header);
    if ingress.lifecycle.is_draining() && version < Version::HTTP_2 {
        // The client, or its balancer, looks for another node before this one closes.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    exchange.status = response.status().as_u16();
    exchange.announced_bytes = announced_bytes(&response);
    // hyper leaves these answers' bodies alone.
    exchange.complete = exchange.method == Method::HEAD
        || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    response.map(|content| match content {
        Content::Bytes(bytes) => IngressBody::bytes(bytes, exchange),
        Content::Guest(body) => IngressBody::guest(body, version, exchange),
    })
}

fn announced_bytes<B>(response: &Response<B>) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

enum Content {
    Bytes(Bytes),
    Guest(typecase_runtime::GuestBody),
}

fn find_route(ingress: &Ingress, request: &Request<Incoming>) -> Option<Route> {
    let host = match request.uri().host() {
        Some(host) => host,
        None => {
            let header = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            host_without_port(header)
        }
    };
    let path = request.uri().path();
    if is_reserved(path) {
        return None;
    }
    ingress.routes.load().find(host, ingress.base_domain.as_deref(), path)
}

/// What no app is asked about. Two hosts, or none, are how requests are smuggled past a proxy's rules.
fn refused(request: &Request<Incoming>) -> Option<ErrorPage> {
    if request.method() == Method::CONNECT {
        let detail = "This server is no proxy.";
        return Some(ErrorPage::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "Not allowed",
            detail,
        ));
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let is_fine = match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            // RFC 9112 lets an absolute target overrule Host; RFC 9113 calls two names malformed.
            let overruled = request.version() < Version::HTTP_2;
            let agrees = |other: &str| host.as_bytes().eq_ignore_ascii_case(other.as_bytes());
            is_authority(host.as_bytes()) && (overruled || authority.is_none_or(agrees))
        }
        (None, None) => request.version() != Version::HTTP_11,
        _ => false,
    } && authority.is_none_or(|authority| is_authority(authority.as_bytes()));
    let detail = "A request has exactly one well-formed Host.";
    (!is_fine).then(|| ErrorPage::new(StatusCode::BAD_REQUEST, "bad-request", "Bad request", detail))
}

/// A name or an address, perhaps with a port; never with a user.
fn is_authority(host: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]!$&'()*+,;=%".contains(byte);
    !host.is_empty() && host.iter().all(allowed)
}

fn is_reserved(path: &str) -> bool {
    path.starts_with("/.well-known/typecase/") || path.starts_with(USER_SERVICE_PREFIX)
}

fn host_without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // In `[::1]` the last colon belongs to the address.
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

fn without_app(ingress: &Ingress, path: &str) -> Answer {
    if path == HEALTH_PATH {
        let ready = ingress.lifecycle.is_ready();
        let (status, text) = if ready {
            (StatusCode::OK, "ready\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        };
        let mut response = Response::new(Bytes::from_static(text.as_bytes()));
        *response.status_mut() = status;
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
        return Answer::Asset(response);
    }
    if !ingress.lifecycle.is_loaded() || ingress.routes.load().is_unavailable(path) {
        return Answer::Error(unavailable());
    }
    let detail = if path.starts_with(USER_SERVICE_PREFIX) {
        "This version of the server has no user service yet."
    } else {
        "No app is published at this address."
    };
    Answer::Error(ErrorPage::new(StatusCode::NOT_FOUND, "app-not-found", "Not found", detail))
}

/// For a node that still loads its apps, and for an app whose release it cannot load.
fn unavailable() -> ErrorPage {
    let detail = "The app cannot be served here at the moment.";
    let mut page =
        ErrorPage::new(StatusCode::SERVICE_UNAVAILABLE, "app-unavailable", "Not available", detail);
    page.retry_after_s = Some(5);
    page
}

async fn within_app(
    route: &Route,
    mut request: Request<Incoming>,
    https: bool,
    request_id: Arc<str>,
) -> Answer {
    let release = &route.app.release;
    if release.assets.is_some() && route.lacks_slash(request.uri().path()) && is_read(request.method()) {
        return redirect_to_slash(request.uri());
    }
    let at = AppPath { path: route.strip(request.uri().path()), query: request.uri().query() };
    if let Some(answer) = dispatch::asset(release, request.method(), &at, request.headers()) {
        dispatch::discard_body(request);
        return answer;
    }
    if route.prefix().is_some()
        && let Err(page) = strip_prefix(route, request.uri_mut())
    {
        return Answer::Error(page);
    }
    dispatch::component(release, request, https, request_id).await
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Relative links in the app's pages need the slash.
fn redirect_to_slash(uri: &Uri) -> Answer {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    if let Ok(location) = HeaderValue::from_str(&format!("{}/{query}", uri.path())) {
        response.headers_mut().insert(LOCATION, location);
    }
    Answer::Asset(response)
}

fn strip_prefix(route: &Route, uri: &mut Uri) -> Result<(), ErrorPage> {
    let path = route.strip(uri.path());
    let stripped = match uri.query() {
        None => PathAndQuery::try_from(path),
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
    };
    let bad =
        || ErrorPage::new(StatusCode::BAD_REQUEST, "bad-request", "Bad request", "The path is malformed.");
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = Some(stripped.map_err(|_| bad())?);
    *uri = Uri::from_parts(parts).map_err(|_| bad())?;
    Ok(())
}
