//! Tests of an app on the author's machine: `cargo test`, without a server and without WebAssembly.
//!
//! A [`TestApp`] calls the app as the server would, with an `http::Request`, and gives its answer as an `http::Response`. Config is what
//! the test sets, logs can be looked at, and sleeping takes no time: the clock jumps.
//!
//! ```
//! use typecase_sdk::{App, Path, config, log};
//!
//! async fn greet(Path(name): Path<String>) -> typecase_sdk::Result<String> {
//!     log::info!("{name} was here");
//!     Ok(format!("{}, {name}!\n", config::require("greeting")?))
//! }
//!
//! fn app() -> App {
//!     App::new().get("/{name}", greet)
//! }
//!
//! use typecase_sdk::testing::TestApp;
//!
//! #[test]
//! # fn shown() {}
//! fn greets_by_name() {
//!     let app = TestApp::new(app()).config("greeting", "Hello");
//!     let answer = app.get("/Ann");
//!     assert_eq!(answer.status(), 200);
//!     assert_eq!(answer.text(), "Hello, Ann!\n");
//!     assert_eq!(app.logs()[0].message, "Ann was here");
//! }
//! # greets_by_name();
//! ```
//!
//! Each `TestApp` belongs to the thread of its test, so tests may run side by side. The module is not there when an app is built for
//! the server.
#![expect(clippy::test_attr_in_doctest, reason = "tests are what this module is for")]

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::ops::Deref;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::platform::{self, Surroundings};
use crate::{App, Body, BodyError, Incoming, Response, logger};

pub use crate::platform::LogLine;

/// An app under test, with the config and the logs of its own.
pub struct TestApp {
    app: App,
    around: RefCell<Surroundings>,
}

impl TestApp {
    /// # Panics
    /// When two routes contradict each other, or one is malformed.
    pub fn new(app: App) -> Self {
        app.check();
        logger::install(log::LevelFilter::Trace);
        Self { app, around: RefCell::default() }
    }

    /// Sets a value of the config.
    #[must_use]
    pub fn config(self, key: &str, value: &str) -> Self {
        self.around.borrow_mut().config.insert(key.to_owned(), value.to_owned());
        self
    }

    /// What was logged so far, oldest first; whatever level the app asks for, all is here.
    pub fn logs(&self) -> Vec<LogLine> {
        self.around.borrow().logs.clone()
    }

    /// Calls the app and reads the answer to its end.
    ///
    /// # Panics
    /// When the body breaks off, or is longer than 64 MiB. [`TestApp::stream`] looks at such bodies.
    pub fn call(&self, request: Request<impl Into<Body>>) -> TestResponse {
        let (parts, body) = self.stream(request).into_parts();
        let (body, trailers) =
            self.within(read(body)).unwrap_or_else(|error| panic!("the answer's body: {error}"));
        TestResponse { response: http::Response::from_parts(parts, body), trailers }
    }

    /// Calls the app and gives back its answer as soon as it begins; [`TestApp::block_on`] reads the body.
    pub fn stream(&self, request: Request<impl Into<Body>>) -> Response {
        let (parts, body) = request.into_parts();
        let source = platform::Request { parts, body: Some(body.into()) };
        let incoming = Incoming::new(source).unwrap_or_else(|error| panic!("the request: {error}"));
        let mut response = self.within(self.app.respond(incoming));
        if let Some(kind) = response.body().kind() {
            response.headers_mut().entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
        }
        response
    }

    /// Runs a future where the app runs: with its config, its logs and its clock.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.within(future)
    }

    /// `GET` of a path, with a query if it has one.
    pub fn get(&self, path: &str) -> TestResponse {
        self.call(request(Method::GET, path, Body::empty()))
    }

    /// `DELETE` of a path.
    pub fn delete(&self, path: &str) -> TestResponse {
        self.call(request(Method::DELETE, path, Body::empty()))
    }

    /// `POST` of a body to a path.
    pub fn post(&self, path: &str, body: impl Into<Body>) -> TestResponse {
        self.call(request(Method::POST, path, body.into()))
    }

    /// `POST` of a value as JSON.
    pub fn post_json(&self, path: &str, value: &impl Serialize) -> TestResponse {
        self.call(json_request(Method::POST, path, value))
    }

    /// `PUT` of a value as JSON.
    pub fn put_json(&self, path: &str, value: &impl Serialize) -> TestResponse {
        self.call(json_request(Method::PUT, path, value))
    }

    fn within<F: Future>(&self, future: F) -> F::Output {
        let before = self.around.take().exchange();
        let output = platform::block_on(future);
        self.around.replace(before.exchange());
        output
    }
}

impl fmt::Debug for TestApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.app.fmt(f)
    }
}

fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).body(body);
    request.unwrap_or_else(|error| panic!("`{path}` is not a path: {error}"))
}

fn json_request(method: Method, path: &str, value: &impl Serialize) -> Request<Body> {
    let body = serde_json::to_vec(value).unwrap_or_else(|error| panic!("the value is not JSON: {error}"));
    let mut request = request(method, path, body.into());
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}

async fn read(mut body: Body) -> Result<(Bytes, HeaderMap), BodyError> {
    /// A body that never ends is the test's mistake.
    const BYTES_MAX: usize = 64 << 20;

    let (mut bytes, mut trailers) = (BytesMut::new(), HeaderMap::new());
    while let Some(frame) = body.frame().await? {
        match frame.into_data() {
            Ok(data) if bytes.len() + data.len() > BYTES_MAX => return Err(BodyError::TooLarge(BYTES_MAX)),
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    Ok((bytes.freeze(), trailers))
}

/// An answer that was read to its end: an `http::Response<Bytes>` with ways to read its body.
#[derive(Debug)]
pub struct TestResponse {
    response: http::Response<Bytes>,
    trailers: HeaderMap,
}

impl TestResponse {
    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        str::from_utf8(self.body()).unwrap_or_else(|_| panic!("the body is not text: {:?}", self.body()))
    }

    /// The body as a value, read from JSON.
    ///
    /// # Panics
    /// When it is no JSON of this type.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(self.body())
            .unwrap_or_else(|error| panic!("the body is not the expected JSON ({error}): {:?}", self.body()))
    }

    /// The trailers that followed the body.
    pub fn trailers(&self) -> &HeaderMap {
        &self.trailers
    }

    /// The `http` crate's own type.
    pub fn into_response(self) -> http::Response<Bytes> {
        self.response
    }
}

impl Deref for TestResponse {
    type Target = http::Response<Bytes>;

    fn deref(&self) -> &Self::Target {
        &self.response
    }
}
