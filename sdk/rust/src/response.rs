//! What handlers give back, and how it becomes an answer.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::{Body, Error, Response};

/// What a handler may give back.
///
/// | type | answer |
/// | --- | --- |
/// | `&'static str`, `String`, `Cow<'static, str>` | 200, `text/plain; charset=utf-8` |
/// | [`Html`] | 200, `text/html; charset=utf-8` |
/// | [`Json`](crate::Json) | 200, `application/json` |
/// | [`Sse`](crate::sse::Sse) | 200, `text/event-stream` |
/// | `Bytes`, `Vec<u8>`, [`Body`] | 200, without a content type |
/// | `()` | 204 |
/// | `StatusCode` | that status, without content |
/// | `http::Response` of anything that becomes a [`Body`] | as it is |
/// | `(StatusCode, T)` | `T` with that status |
/// | `([(name, value); N], T)`, `(HeaderMap, T)` | `T` with these headers, which replace those of `T` |
/// | `(StatusCode, headers, T)` | both |
/// | `Result<T, E>` | `T`, or the problem that `E` becomes ([`Error`]) |
///
/// The content type of text, HTML and JSON is that of the body: it is added when the answer is sent, unless its headers have
/// another.
///
/// ```
/// use http::StatusCode;
/// use http::header::{CACHE_CONTROL, LOCATION};
/// use typecase_sdk::{App, Html, IntoResponse};
///
/// async fn page() -> impl IntoResponse {
///     ([(CACHE_CONTROL, "max-age=60")], Html("<h1>Hello</h1>"))
/// }
///
/// async fn moved() -> impl IntoResponse {
///     (StatusCode::SEE_OTHER, [(LOCATION, "page")], ())
/// }
///
/// let app = App::new().get("/page", page).get("/old", moved);
/// # let app = typecase_sdk::testing::TestApp::new(app);
/// # assert_eq!(app.get("/page").headers()["content-type"], "text/html; charset=utf-8");
/// # assert_eq!(app.get("/old").status(), 303);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an answer",
    note = "handlers give back text, `Json<T>`, `Html<T>`, `StatusCode`, `http::Response<Body>`, a tuple of status, headers and one of these, or a `Result` of it with `typecase_sdk::Error`"
)]
pub trait IntoResponse {
    /// Makes the answer.
    fn into_response(self) -> Result<Response, Error>;
}

impl<T: Into<Body>> IntoResponse for http::Response<T> {
    fn into_response(self) -> Result<Response, Error> {
        Ok(self.map(Into::into))
    }
}

impl<T: IntoResponse, E: Into<Error>> IntoResponse for Result<T, E> {
    fn into_response(self) -> Result<Response, Error> {
        self.map_err(Into::into)?.into_response()
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Result<Response, Error> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self;
        Ok(response)
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Result<Response, Error> {
        StatusCode::NO_CONTENT.into_response()
    }
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Html<T>(pub T);

impl<T: Into<Body>> IntoResponse for Html<T> {
    fn into_response(self) -> Result<Response, Error> {
        Ok(Response::new(self.0.into().with_kind("text/html; charset=utf-8")))
    }
}

macro_rules! as_text {
    ($($kind:ty),*) => {$(
        impl IntoResponse for $kind {
            fn into_response(self) -> Result<Response, Error> {
                Ok(Response::new(Body::from(self).with_kind("text/plain; charset=utf-8")))
            }
        }
    )*};
}

as_text!(&'static str, String);

impl IntoResponse for Cow<'static, str> {
    fn into_response(self) -> Result<Response, Error> {
        match self {
            Cow::Borrowed(text) => text.into_response(),
            Cow::Owned(text) => text.into_response(),
        }
    }
}

macro_rules! as_bytes {
    ($($kind:ty),*) => {$(
        impl IntoResponse for $kind {
            fn into_response(self) -> Result<Response, Error> {
                Ok(Response::new(self.into()))
            }
        }
    )*};
}

as_bytes!(&'static [u8], Vec<u8>, Bytes, Body);

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Result<Response, Error> {
        let mut response = self.1.into_response()?;
        *response.status_mut() = self.0;
        Ok(response)
    }
}

impl<H: IntoHeaders, T: IntoResponse> IntoResponse for (H, T) {
    fn into_response(self) -> Result<Response, Error> {
        let mut response = self.1.into_response()?;
        response.headers_mut().extend(self.0.into_headers()?);
        Ok(response)
    }
}

impl<H: IntoHeaders, T: IntoResponse> IntoResponse for (StatusCode, H, T) {
    fn into_response(self) -> Result<Response, Error> {
        (self.0, (self.1, self.2)).into_response()
    }
}

/// Headers in a tuple: a `HeaderMap`, or an array of names and values.
pub trait IntoHeaders {
    /// Checks names and values.
    fn into_headers(self) -> Result<HeaderMap, Error>;
}

impl IntoHeaders for HeaderMap {
    fn into_headers(self) -> Result<HeaderMap, Error> {
        Ok(self)
    }
}

/// Names and values are what [`HeaderName`] and [`HeaderValue`] can be made from; others are an error of the app.
impl<N, V, const LENGTH: usize> IntoHeaders for [(N, V); LENGTH]
where
    HeaderName: TryFrom<N, Error: Into<http::Error>>,
    HeaderValue: TryFrom<V, Error: Into<http::Error>>,
{
    fn into_headers(self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::with_capacity(LENGTH);
        for (name, value) in self {
            let name: Result<HeaderName, http::Error> = name.try_into().map_err(Into::into);
            let value: Result<HeaderValue, http::Error> = value.try_into().map_err(Into::into);
            headers.append(name?, value?);
        }
        Ok(headers)
    }
}
