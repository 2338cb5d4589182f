//! Errors that clients are told about, and those that only the log sees.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use crate::{Body, BodyError, Incoming, Response};

/// What went wrong with a request; the client gets it as `application/problem+json` (RFC 9457).
///
/// ```json
/// { "type": "about:blank", "title": "Not Found", "status": 404, "detail": "There is no note 7.", "code": "not-found" }
/// ```
///
/// Two kinds of errors meet here. What the client may know is made with [`Error::new`] or a shorthand such as
/// [`Error::not_found`]: status, code and detail are sent as they are. Any other error, converted by `?`, becomes a 500 that
/// tells the client nothing; its text and sources go to the log, where the server notes the request's id, which is in the header
/// `x-request-id` of every answer. Answers from 500 on are logged as errors, with method and path; those below are not logged.
///
/// ```
/// use typecase_sdk::{App, Error, Path};
///
/// async fn price(Path(item): Path<String>) -> Result<String, Error> {
///     let stored = match item.as_str() {
///         "type" => "12",
///         "ink" => "lost",
///         _ => return Err(Error::not_found(format!("We do not sell {item}."))),
///     };
///     let cents: u32 = stored.parse()?;
///     Ok(format!("{cents} cents\n"))
/// }
///
/// let app = App::new().get("/prices/{item}", price);
/// # use serde_json::Value;
/// # let app = typecase_sdk::testing::TestApp::new(app);
/// # let problem = app.get("/prices/tea");
/// # assert_eq!(problem.headers()["content-type"], "application/problem+json");
/// # assert_eq!(problem.json::<Value>()["detail"], "We do not sell tea.");
/// # let problem = app.get("/prices/ink");
/// # assert_eq!(problem.status(), 500);
/// # assert!(!problem.text().contains("digit"));
/// # assert!(app.logs()[0].message.contains("GET /prices/ink: invalid digit found in string"));
/// ```
pub struct Error(Box<Problem>);

struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    kind: Option<Cow<'static, str>>,
    detail: Cow<'static, str>,
    members: Vec<(Cow<'static, str>, Value)>,
    headers: HeaderMap,
    /// For the log alone.
    source: Option<Box<dyn StdError>>,
}

impl Error {
    /// An error with its HTTP status, a code for programs (a noun in kebab case that never changes) and a sentence for
    /// people.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Problem {
            status,
            code: code.into(),
            kind: None,
            detail: detail.into(),
            members: Vec::new(),
            headers: HeaderMap::new(),
            source: None,
        }))
    }

    /// 400, code `bad-request`.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// 401, code `unauthorized`. RFC 9110 wants a header `www-authenticate` with it: see [`header`](Self::header).
    pub fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// 403, code `forbidden`.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 404, code `not-found`.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// 409, code `conflict`.
    pub fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// 422, code `unprocessable`.
    pub fn unprocessable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", detail)
    }

    /// 500, code `internal`. The reason goes to the log, the client is told nothing of it.
    pub fn internal(reason: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let detail = "Something went wrong in the app. Its log says more.";
        let mut error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail);
        error.0.source = Some(reason.into());
        error
    }

    /// Replaces the code.
    #[must_use]
    pub fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.0.code = code.into();
        self
    }

    /// An address that identifies this kind of problem, instead of `about:blank` (RFC 9457, 3.1.1).
    #[must_use]
    pub fn kind(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.0.kind = Some(uri.into());
        self
    }

    /// One more member of the problem document (RFC 9457, 3.2). The names `type`, `title`, `status`, `detail` and `code`
    /// are taken: such a member is left out.
    #[must_use]
    pub fn member(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        let name = name.into();
        if !RESERVED.contains(&name.as_ref()) {
            self.0.members.push((name, value.into()));
        }
        self
    }

    /// A header of the answer, such as `retry-after`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// What caused it, for the log alone.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The answer's status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    pub(crate) fn log(&self, what: impl fmt::Display) {
        if self.0.status.is_server_error() {
            log::error!("{what}: {}", self.reason());
        }
    }

    /// The error as the answer to a request; what the client is not told is logged.
    pub(crate) fn answer(mut self, request: &Incoming) -> Response {
        self.log(format_args!("{} {}", request.method(), request.path()));
        let text = serde_json::to_vec(&Document(&self.0)).unwrap_or_default();
        let mut response = Response::new(Body::from(text).with_kind("application/problem+json"));
        *response.status_mut() = self.0.status;
        *response.headers_mut() = std::mem::take(&mut self.0.headers);
        response
    }

    /// Each error with its causes, those left out that the one before has repeated.
    fn reason(&self) -> String {
        let Some(source) = &self.0.source else { return self.0.detail.clone().into_owned() };
        let mut text = source.to_string();
        let mut cause = source.source();
        while let Some(inner) = cause {
            let inner_text = inner.to_string();
            if !text.contains(&inner_text) {
                text.push_str(": ");
                text.push_str(&inner_text);
            }
            cause = inner.source();
        }
        text
    }
}

/// Any error: 500 without a word to the client. Errors of reading the request's body keep their own status.
///
/// `Error` itself is no `std::error::Error`, because Rust would not know then which of two conversions `?` means.
impl<E: StdError + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        if let Some(body) = (&error as &dyn StdError).downcast_ref::<BodyError>() {
            return body.to_error();
        }
        let mut internal = Self::internal("");
        internal.0.source = Some(Box::new(error));
        internal
    }
}

/// What the log says of it.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.0.status, self.0.code, self.reason())
    }
}

const RESERVED: [&str; 5] = ["type", "title", "status", "detail", "code"];

struct Document<'a>(&'a Problem);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let problem = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", problem.kind.as_deref().unwrap_or("about:blank"))?;
        map.serialize_entry("title", problem.status.canonical_reason().unwrap_or("Error"))?;
        map.serialize_entry("status", &problem.status.as_u16())?;
        map.serialize_entry("detail", &problem.detail)?;
        map.serialize_entry("code", &problem.code)?;
        for (name, value) in &problem.members {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
