//! What surrounds every handler: the request's id, the deadline, and problem documents for all errors.

use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;
use uuid::Uuid;

use super::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ids of a proxy are not taken over: they go into every log line.
const REQUEST_ID_CHARS_MAX: usize = 64;
/// For everything that does not wait for a rollout; a call to the database has less.
const DEADLINE: Duration = Duration::from_secs(10);
/// What a layer below says about an error is a line of text.
const REJECTION_BYTES_MAX: usize = 4 << 10;

/// Gives each request an id, and each error the form of a problem document that carries it.
pub async fn request_id(request: Request, next: Next) -> Response {
    let id = id_of(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = tracing::info_span!("api", request.id = %id);
    async {
        let started = Instant::now();
        let response = next.run(request).await;
        let mut response = with_document(response, &id).await;
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&id) {
            headers.insert(REQUEST_ID, value);
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        tracing::debug!(
            http.method = %method,
            http.path = path,
            http.status = response.status().as_u16(),
            duration_ms = started.elapsed().as_millis() as u64,
            "answered"
        );
        response
    }
    .instrument(span)
    .await
}

/// Ends what takes too long; only for handlers that may be dropped at any point.
pub async fn deadline(request: Request, next: Next) -> Response {
    match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let mut problem = Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "deadline-exceeded",
                format!("no answer within {} s; try again", DEADLINE.as_secs()),
            );
            problem.retry_after_s = Some(DEADLINE.as_secs());
            problem.into_response()
        }
    }
}

async fn with_document(mut response: Response, id: &str) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return problem.into_document(id);
    }
    let status = response.status();
    let is_page =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !(status.is_client_error() || status.is_server_error()) || is_page {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = to_bytes(body, REJECTION_BYTES_MAX).await.unwrap_or_default();
    let detail = String::from_utf8_lossy(&text).into_owned();
    let mut response = Problem::of_status(status, detail).into_document(id);
    if let Some(allow) = parts.headers.get(ALLOW) {
        response.headers_mut().insert(ALLOW, allow.clone());
    }
    response
}

/// A proxy's id if it has a harmless form, else a fresh one that sorts by time.
fn id_of(headers: &HeaderMap) -> String {
    let harmless = |id: &&str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(allowed)
    };
    headers
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(harmless)
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// An answer without a body.
pub fn empty() -> Response {
    (StatusCode::NO_CONTENT, Body::empty()).into_response()
}
