//! What clients see when there is no answer from an app: a page for browsers, problem+json (RFC 9457) for
//! others. Both name whose fault it is and the request id; details are in the log only.

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use typecase_runtime::{CallError, CallErrorKind};

/// An answer that the server gives in place of an app.
#[derive(Debug, Clone)]
pub struct ErrorPage {
    pub status: StatusCode,
    /// Stable, kebab-case.
    pub code: &'static str,
    pub title: &'static str,
    pub detail: String,
    pub retry_after_s: Option<u32>,
}

impl ErrorPage {
    pub fn new(status: StatusCode, code: &'static str, title: &'static str, detail: &str) -> Self {
        Self { status, code, title, detail: detail.to_owned(), retry_after_s: None }
    }

    /// What a client may know of a failed call.
    pub fn of_call(error: &CallError, app: &str) -> Self {
        let (status, title, detail) = match error.kind {
            CallErrorKind::Trap => (StatusCode::BAD_GATEWAY, "The app failed", "stopped with an error"),
            CallErrorKind::MemoryLimit => {
                (StatusCode::BAD_GATEWAY, "The app failed", "needed more memory than it may use")
            }
            CallErrorKind::ResourceLimit => {
                (StatusCode::BAD_GATEWAY, "The app failed", "held more streams and bodies than it may")
            }
            CallErrorKind::CpuLimit => {
                (StatusCode::GATEWAY_TIMEOUT, "The app took too long", "computed for longer than it may")
            }
            CallErrorKind::Timeout => {
                (StatusCode::GATEWAY_TIMEOUT, "The app took too long", "did not answer in time")
            }
            CallErrorKind::ClientTimeout => {
                (StatusCode::REQUEST_TIMEOUT, "Request timeout", "waited too long for the request's body")
            }
            CallErrorKind::NoResponse => (StatusCode::BAD_GATEWAY, "The app failed", "gave no response"),
            CallErrorKind::Overloaded => {
                (StatusCode::SERVICE_UNAVAILABLE, "The app is busy", "has too many requests at once")
            }
            CallErrorKind::BadRequest => {
                (StatusCode::BAD_REQUEST, "Bad request", "cannot be given this request")
            }
            CallErrorKind::Host => {
                (StatusCode::INTERNAL_SERVER_ERROR, "The server failed", "could not be run")
            }
        };
        let mut page = Self::new(status, error.kind.code(), title, &format!("The app `{app}` {detail}."));
        if error.kind == CallErrorKind::Overloaded {
            page.retry_after_s = Some(1);
        }
        page
    }

    /// Whose fault it is; with a request id, what support asks for first.
    fn owner(&self) -> &'static str {
        match self.status.as_u16() {
            400..=499 => "client",
            502 | 504 => "guest",
            _ => "host",
        }
    }

    /// The owner, in the words of a page for people.
    fn cause(&self) -> &'static str {
        match self.owner() {
            "client" => "the request",
            "guest" => "the app",
            _ => "the server",
        }
    }

    pub fn into_response(self, request_headers: &HeaderMap, request_id: &str) -> Response<Bytes> {
        let wants_html = request_headers
            .get(ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"));
        let (content_type, body) = if wants_html {
            ("text/html; charset=utf-8", self.html(request_id))
        } else {
            ("application/problem+json", self.json(request_id))
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn json(&self, request_id: &str) -> String {
        serde_json::json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "owner": self.owner(),
            "request_id": request_id,
        })
        .to_string()
    }

    fn html(&self, request_id: &str) -> String {
        let (status, title, detail, code) =
            (self.status.as_u16(), self.title, escape(&self.detail), self.code);
        let cause = self.cause();
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{status} {title}</title><style>{STYLE}</style></head><body><main>\
             <p class=\"status\">{status}</p><h1>{title}</h1><p>{detail}</p>\
             <p class=\"small\">{code}, because of {cause} · request <code>{request_id}</code></p>\
             </main></body></html>\n"
        )
    }
}

const STYLE: &str = "body{margin:0;min-height:100vh;display:grid;place-items:center;\
font:16px/1.5 system-ui,sans-serif;background:#f6f5f2;color:#22201c}main{max-width:34rem;padding:2rem}\
h1{margin:.2em 0;font-size:1.6rem}.status{margin:0;color:#8a5a2b;font-weight:600;letter-spacing:.08em}\
.small{color:#6d675d;font-size:.85rem}code{font-size:.95em}\
@media(prefers-color-scheme:dark){body{background:#1c1a17;color:#ece7de}.small{color:#a49b8c}}";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
