//! From an app's release and a request to an answer: an asset, else the component, else 404.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use typecase_bundle::assets::{AssetRequest, method_not_allowed, respond};
use typecase_runtime::{BodyFate, CallError, GuestBody, RequestBody};

use super::error_page::ErrorPage;
use super::routes::LiveRelease;

/// The longest a health check may take, whatever the app's own time-out is.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);

/// An answer before it is accounted for.
pub enum Answer {
    Asset(Response<Bytes>),
    Guest(Response<GuestBody>),
    Error(ErrorPage),
}

/// What the request's path is inside the app.
pub struct AppPath<'a> {
    pub path: &'a str,
    pub query: Option<&'a str>,
}

/// Tries the assets; none if the component has to answer.
pub fn asset(
    release: &LiveRelease,
    method: &Method,
    at: &AppPath<'_>,
    headers: &HeaderMap,
) -> Option<Answer> {
    let assets = release.assets.as_ref()?;
    let request = AssetRequest {
        method,
        path: at.path,
        query: at.query,
        headers,
        fallback: release.fallback.as_deref(),
    };
    if let Some(response) = respond(assets, &request) {
        return Some(Answer::Asset(response));
    }
    if release.component.is_none() && assets.contains(at.path) {
        return Some(Answer::Asset(method_not_allowed()));
    }
    None
}

/// Gives the request to the component.
pub async fn component(
    release: &Arc<LiveRelease>,
    request: Request<Incoming>,
    https: bool,
    request_id: Arc<str>,
) -> Answer {
    let Some(component) = &release.component else {
        discard_body(request);
        return Answer::Error(not_found(&release.app));
    };
    let (request, fate) = match limit_body(request, release.limits.body_mb) {
        Ok(limited) => limited,
        Err(page) => return Answer::Error(page),
    };
    let called = component.call(request, https, request_id).await;
    // Whatever the guest made of the part that it saw.
    if fate.is_some_and(|fate| fate.exceeded()) {
        return Answer::Error(body_too_large(release.limits.body_mb));
    }
    match called {
        Ok(response) => Answer::Guest(response),
        Err(error) => Answer::Error(ErrorPage::of_call(&error, release.app.as_str())),
    }
}

/// For an answer that needs no body: what the client still sends is read and forgotten.
pub fn discard_body(request: Request<Incoming>) {
    let (parts, body) = request.into_parts();
    if !body.is_end_stream() {
        drop(RequestBody::limited(body, 0, parts.headers.contains_key(EXPECT)));
    }
}

type Limited = (Request<RequestBody>, Option<BodyFate>);

fn limit_body(request: Request<Incoming>, body_mb: u32) -> Result<Limited, ErrorPage> {
    let max_bytes = u64::from(body_mb) * 1024 * 1024;
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return Ok((Request::from_parts(parts, RequestBody::Empty), None));
    }
    let waits_for_continue = parts.headers.contains_key(EXPECT);
    let (body, fate) = RequestBody::limited(body, max_bytes, waits_for_continue);
    let announced =
        parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > max_bytes) {
        return Err(body_too_large(body_mb));
    }
    Ok((Request::from_parts(parts, body), Some(fate)))
}

fn body_too_large(body_mb: u32) -> ErrorPage {
    let detail = format!("The request's body is larger than the {body_mb} MiB that this app accepts.");
    ErrorPage::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large", &detail)
}

fn not_found(app: &typecase_model::AppName) -> ErrorPage {
    let detail = format!("The app `{app}` has nothing at this address.");
    ErrorPage::new(StatusCode::NOT_FOUND, "not-found", "Not found", &detail)
}

/// Why a release may not serve; the text is for its publisher.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    #[error("the health path `{path}` answered {status}: it must answer below 500")]
    Status { path: String, status: u16 },
    #[error("the health path `{path}` failed: {error}")]
    Call { path: String, error: CallError },
    #[error("the health path `{path}` did not answer within {} s", HEALTH_TIMEOUT.as_secs())]
    Timeout { path: String },
    #[error("the health path `{path}` is not a path")]
    Path { path: String },
}

/// Calls a release's health path as a client would. Must run on a thread of the data plane.
pub async fn check_health(release: &LiveRelease) -> Result<(), HealthError> {
    let Some(component) = &release.component else {
        return Ok(());
    };
    let path = || release.health.clone();
    let mut request = Request::new(RequestBody::Empty);
    *request.uri_mut() = release.health.parse().map_err(|_| HealthError::Path { path: path() })?;
    let host = HeaderValue::from_str(release.app.as_str()).unwrap_or(HeaderValue::from_static("localhost"));
    request.headers_mut().insert(HOST, host);
    let health_check = HeaderValue::from_static("typecase-health-check");
    request.headers_mut().insert(http::header::USER_AGENT, health_check);
    let request_id: Arc<str> = uuid::Uuid::now_v7().to_string().into();
    let called = tokio::time::timeout(HEALTH_TIMEOUT, component.call(request, false, request_id)).await;
    match called {
        Err(_) => Err(HealthError::Timeout { path: path() }),
        Ok(Err(error)) => Err(HealthError::Call { path: path(), error }),
        Ok(Ok(response)) if response.status().is_server_error() => {
            Err(HealthError::Status { path: path(), status: response.status().as_u16() })
        }
        Ok(Ok(_)) => Ok(()),
    }
}
