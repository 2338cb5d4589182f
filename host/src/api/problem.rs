//! Errors as problem documents (RFC 9457).

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use typecase_model::{Generation, NameError, Receipt};

use crate::control::{Class, ControlError};
use crate::judge::Finding;

/// An error on its way out. It becomes a document when the request's id is known, in [`super::layers`].
#[derive(Debug, Clone)]
pub struct Problem {
    pub status: StatusCode,
    pub code: &'static str,
    pub detail: String,
    pub receipts: Box<[Receipt]>,
    /// Of a publish that was refused: each reason, with its place in the manifest.
    pub findings: Box<[Finding]>,
    /// Of a change that lost against another one: expected and found.
    pub generations: Option<(Option<Generation>, Generation)>,
    pub retry_after_s: Option<u64>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let (receipts, findings, generations) = (Box::default(), Box::default(), None);
        Self { status, code, detail: detail.into(), receipts, findings, generations, retry_after_s: None }
    }

    /// A request that is wrong and stays wrong.
    pub fn invalid(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// What stands for an error that a layer below us answered in its own way.
    pub fn of_status(status: StatusCode, detail: String) -> Self {
        let code = match status {
            StatusCode::NOT_FOUND => "route-not-found",
            StatusCode::METHOD_NOT_ALLOWED => "method-not-allowed",
            StatusCode::PAYLOAD_TOO_LARGE => "body-too-large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "content-type-unsupported",
            status if status.is_server_error() => "internal",
            _ => "request-invalid",
        };
        let detail = match (code, detail) {
            ("route-not-found", _) => "there is nothing under this path".to_owned(),
            ("method-not-allowed", _) => {
                "this path does not take this method; see the Allow header".to_owned()
            }
            ("internal", _) => {
                "something went wrong inside the node; its log says more under this request id".to_owned()
            }
            (_, detail) => detail,
        };
        Self::new(status, code, detail)
    }

    /// The document, with the id under which the log says more.
    pub fn into_document(self, request_id: &str) -> Response {
        let Self { status, code, detail, receipts, findings, generations, retry_after_s } = self;
        let mut document = json!({
            "type": format!("urn:typecase:problem:{code}"),
            "title": title(code),
            "status": status.as_u16(),
            "detail": detail,
            "code": code,
            "request_id": request_id,
        });
        if !receipts.is_empty() {
            document["receipts"] = json!(receipts);
        }
        if !findings.is_empty() {
            document["problems"] = json!(findings);
        }
        if let Some((expected, found)) = generations {
            document["expected_generation"] = json!(expected);
            document["found_generation"] = json!(found);
        }
        let mut response = (status, document.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"typecase\""));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Body::empty()).into_response();
        response.headers_mut().remove(CONTENT_LENGTH);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let status = match error.class() {
            Class::Invalid => StatusCode::BAD_REQUEST,
            Class::NotSignedIn => StatusCode::UNAUTHORIZED,
            Class::NotAllowed => StatusCode::FORBIDDEN,
            Class::NotFound => StatusCode::NOT_FOUND,
            Class::Conflict => StatusCode::CONFLICT,
            Class::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Class::Failed => StatusCode::UNPROCESSABLE_ENTITY,
            Class::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Class::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        // The one place where what happened inside is told, to the log only.
        if status.is_server_error() {
            tracing::error!(error.code = error.code(), "{error}");
        }
        Self {
            status,
            code: error.code(),
            detail: error.detail(),
            receipts: error.receipts().into(),
            findings: error.findings().into(),
            generations: error.generations(),
            retry_after_s: error.retry_after_s(),
        }
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        let code = match error {
            NameError::Reserved(_) => "app-name-reserved",
            NameError::Malformed(_) => "app-name-malformed",
            NameError::Digest(_) => "digest-malformed",
            NameError::Release(_) => "release-number-malformed",
            NameError::Node(_) => "node-id-malformed",
        };
        Self::invalid(code, error.to_string())
    }
}

/// `host-taken` reads `Host taken`: the code is a noun phrase already.
fn title(code: &str) -> String {
    let mut title = code.replace('-', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}
