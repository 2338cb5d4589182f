//! A request on its way to a handler, of which only what is asked for is fetched from the server.

use std::cell::OnceCell;
use std::fmt;
use std::future::Future;

use bytes::Bytes;
use http::request::Parts;
use http::{Extensions, HeaderMap, Method, Request, Uri, Version};

use crate::params::Params;
use crate::{Body, BodyError, Error, limits, platform};

/// What the arguments of a handler are read from.
///
/// Only what is asked for is fetched from the server: a handler without arguments costs nothing here.
pub struct Incoming {
    method: Method,
    /// Path and query.
    target: String,
    source: platform::Request,
    /// Headers and address: fetched when somebody asks for them.
    parts: OnceCell<Parts>,
    params: Params,
    body_bytes_max: usize,
}

impl Incoming {
    pub(crate) fn new(source: platform::Request) -> Result<Self, Error> {
        let invalid =
            |error: &dyn fmt::Display| Error::bad_request(format!("The request is malformed: {error}."));
        let method = source.method().map_err(|error| invalid(&error))?;
        let target = source.target();
        let body_bytes_max = limits::BODY_BYTES_MAX;
        let (parts, params) = (OnceCell::new(), Params::default());
        Ok(Self { method, target, source, parts, params, body_bytes_max })
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path below the app's prefix, still percent-encoded.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// What follows the `?`, still percent-encoded.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// Method, address and headers. The address has the scheme and host that the client asked for, where they are known.
    pub fn parts(&self) -> &Parts {
        self.parts.get_or_init(|| {
            let (mut parts, ()) = Request::new(()).into_parts();
            parts.method = self.method.clone();
            parts.uri = self.source.uri(&self.target);
            parts.headers = self.source.headers();
            parts.version = Version::HTTP_11;
            parts.extensions = Extensions::new();
            parts
        })
    }

    /// The address, with scheme and host where they are known.
    pub fn uri(&self) -> &Uri {
        &self.parts().uri
    }

    /// The headers. `host` is not among them: it is part of [`uri`](Self::uri). The server's `x-request-id`,
    /// `x-forwarded-for` and `x-forwarded-prefix` are.
    pub fn headers(&self) -> &HeaderMap {
        &self.parts().headers
    }

    /// A parameter of the path, percent-decoded.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name)
    }

    /// The body; a second call is an error of the app.
    pub fn take_body(&mut self) -> Result<Body, Error> {
        if platform::BODY_IS_THE_REQUEST {
            self.parts();
        }
        self.source.take_body().ok_or_else(|| Error::internal("the body of the request was taken twice"))
    }

    /// The whole body, unless it is longer than what the app allows ([`App::body_bytes_max`](crate::App::body_bytes_max)):
    /// then an error with status 413.
    pub async fn read_body(&mut self) -> Result<Bytes, Error> {
        let bytes_max = self.body_bytes_max;
        Ok(self.take_body()?.bytes(bytes_max).await?)
    }

    pub(crate) fn params(&self) -> &Params {
        &self.params
    }

    pub(crate) fn set_params(&mut self, params: Params) {
        self.params = params;
    }

    pub(crate) fn set_body_bytes_max(&mut self, bytes: usize) {
        self.body_bytes_max = bytes;
    }

    fn take_request(&mut self) -> Result<Request<Body>, Error> {
        let body = self.take_body()?;
        self.parts();
        let parts = self.parts.take().ok_or_else(|| Error::internal("the request was taken twice"))?;
        Ok(Request::from_parts(parts, body))
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("method", &self.method).field("target", &self.target).finish()
    }
}

/// An argument of a handler: how it is read from the request.
///
/// Implement it for what several handlers need. An error becomes the answer, and the handler is not called.
///
/// ```
/// use typecase_sdk::{App, Error, FromRequest, Incoming};
///
/// /// Who calls, by a key that only partners have.
/// struct Partner(String);
///
/// impl FromRequest for Partner {
///     async fn from_request(request: &mut Incoming) -> Result<Self, Error> {
///         match request.headers().get("x-api-key").and_then(|key| key.to_str().ok()) {
///             Some("k-123") => Ok(Self("Example Ltd".to_owned())),
///             _ => Err(Error::unauthorized("Send a valid key in the header x-api-key.")),
///         }
///     }
/// }
///
/// let app = App::new().get("/hello", async |Partner(name): Partner| format!("Hello, {name}!\n"));
/// # assert_eq!(typecase_sdk::testing::TestApp::new(app).get("/hello").status(), 401);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler",
    note = "arguments are `Path<T>`, `Query<T>`, `Json<T>`, `HeaderMap`, `Method`, `Uri`, `String`, `Bytes`, `Body`, `http::Request<Body>`, or your own type with `FromRequest`"
)]
pub trait FromRequest: Sized {
    /// Whether the body is read: only one argument of a handler may.
    const READS_BODY: bool = false;

    /// Reads the value; the error becomes the answer.
    fn from_request(request: &mut Incoming) -> impl Future<Output = Result<Self, Error>>;
}

impl FromRequest for Method {
    async fn from_request(request: &mut Incoming) -> Result<Self, Error> {
        Ok(request.method().clone())
    }
}

impl FromRequest for Uri {
    async fn from_request(request: &mut Incoming) -> Result<Self, Error> {
        Ok(request.uri().clone())
    }
}

impl FromRequest for HeaderMap {
    async fn from_request(request: &mut Incoming) -> Result<Self, Error> {
        Ok(request.headers().clone())
    }
}

/// Nothing is read before the handler asks for it.
impl FromRequest for Body {
    const READS_BODY: bool = true;

    async fn from_request(request: &mut Incoming) -> Result<Self, Error> {
        request.take_body()
    }
}

/// The whole request; of its body nothing is read before the handler asks for it.
impl FromRequest for Request<Body> {
    const READS_BODY: bool = true;

    async fn from_request(request: &mut Incoming) -> Result<Self, Error> {
        request.take_request()
    }
}

/// The whole body, within [`App::body_bytes_max`](crate::App::body_bytes_max).
impl FromRequest for Bytes {
    const READS_BODY: bool = true;

    async fn from_request(request: &mut Incoming) -> Result<Self, Error> {
        request.read_body().await
    }
}

/// The whole body, within [`App::body_bytes_max`](crate::App::body_bytes_max); what is not UTF-8 is answered with 400.
impl FromRequest for String {
    const READS_BODY: bool = true;

    async fn from_request(request: &mut Incoming) -> Result<Self, Error> {
        let bytes = request.read_body().await?;
        Ok(String::from_utf8(bytes.into()).map_err(|_| BodyError::NotUtf8)?)
    }
}
