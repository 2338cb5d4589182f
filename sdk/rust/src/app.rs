//! The app: which handler answers which request.

use std::cell::OnceCell;
use std::fmt;

use http::header::{ALLOW, CONTENT_LENGTH};
use http::{HeaderValue, Method, StatusCode};
use log::LevelFilter;

use crate::handler::{DynHandler, Handler, HandlerFn};
use crate::{Body, Error, Incoming, Response, limits};

/// Routes, and what holds for all of them.
///
/// A path is matched segment by segment: `/notes` literally, `/notes/{id}` with one segment as a parameter, `/files/{*path}`
/// with the rest of the path, slashes included. Literal segments win over parameters. A slash at the end counts:
/// `/notes/` is not `/notes`. The server strips the prefix under which an app is mounted, so paths start at the app's own
/// root; the prefix itself is told in the request's header `x-forwarded-prefix`.
///
/// What no route answers:
/// - a path that is not there: 404, code `not-found`;
/// - a method that a path does not take: 405, code `method-not-allowed`, with the header `allow` (RFC 9110, 15.5.6);
/// - `HEAD`, where only `GET` has a handler: that handler's answer without its body (RFC 9110, 9.3.2).
///
/// An app is made anew in each instance, and by default each request has an instance of its own: making it costs less than a
/// microsecond a route, but whatever else `fn app()` does is done for each request too.
///
/// ```
/// use typecase_sdk::{App, Path};
///
/// fn app() -> App {
///     App::new()
///         .get("/", async || "Hello, world!\n")
///         .get("/hello/{name}", async |Path(name): Path<String>| format!("Hello, {name}!\n"))
/// }
/// # use typecase_sdk::testing::TestApp;
/// # assert_eq!(TestApp::new(app()).get("/hello/you").text(), "Hello, you!\n");
/// ```
pub struct App {
    routes: Vec<Route>,
    fallback: Option<Box<dyn DynHandler>>,
    body_bytes_max: usize,
    log_level: LevelFilter,
    /// Made when a path is no route's literal path: most instances never need it.
    patterns: OnceCell<matchit::Router<&'static str>>,
}

struct Route {
    method: Method,
    path: &'static str,
    handler: Box<dyn DynHandler>,
}

impl App {
    /// An app that answers every request with 404.
    #[must_use]
    pub fn new() -> Self {
        Self {
            routes: Vec::new(),
            fallback: None,
            body_bytes_max: limits::BODY_BYTES_MAX,
            log_level: limits::LOG_LEVEL,
            patterns: OnceCell::new(),
        }
    }

    /// Answers `GET` of a path, and `HEAD` unless it has a handler of its own.
    #[must_use]
    pub fn get<Args: 'static>(self, path: &'static str, handler: impl Handler<Args>) -> Self {
        self.on(Method::GET, path, handler)
    }

    /// Answers `POST` to a path.
    #[must_use]
    pub fn post<Args: 'static>(self, path: &'static str, handler: impl Handler<Args>) -> Self {
        self.on(Method::POST, path, handler)
    }

    /// Answers `PUT` to a path.
    #[must_use]
    pub fn put<Args: 'static>(self, path: &'static str, handler: impl Handler<Args>) -> Self {
        self.on(Method::PUT, path, handler)
    }

    /// Answers `PATCH` of a path.
    #[must_use]
    pub fn patch<Args: 'static>(self, path: &'static str, handler: impl Handler<Args>) -> Self {
        self.on(Method::PATCH, path, handler)
    }

    /// Answers `DELETE` of a path.
    #[must_use]
    pub fn delete<Args: 'static>(self, path: &'static str, handler: impl Handler<Args>) -> Self {
        self.on(Method::DELETE, path, handler)
    }

    /// Answers any method of a path.
    ///
    /// # Panics
    /// When the path does not start with `/`, or already has a handler for this method: found by the first test.
    #[must_use]
    pub fn on<Args: 'static>(
        mut self,
        method: Method,
        path: &'static str,
        handler: impl Handler<Args>,
    ) -> Self {
        assert!(path.starts_with('/'), "the route `{path}` does not start with `/`");
        let taken = self.routes.iter().any(|route| route.path == path && route.method == method);
        assert!(!taken, "the route `{method} {path}` has two handlers");
        self.routes.push(Route { method, path, handler: Box::new(HandlerFn::new(handler)) });
        self
    }

    /// Answers what no path matches, instead of 404.
    #[must_use]
    pub fn fallback<Args: 'static>(mut self, handler: impl Handler<Args>) -> Self {
        self.fallback = Some(Box::new(HandlerFn::new(handler)));
        self
    }

    /// The most bytes that arguments such as [`Json`](crate::Json), `String` and `Bytes` read of a request's body; what is
    /// longer is answered with 413. The default is 2 MiB ([`limits::BODY_BYTES_MAX`]). A handler that takes a
    /// [`Body`] reads as much as it wants, up to the server's own limit (`body_mb` in the manifest).
    #[must_use]
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }

    /// The least important level that is logged; the default is `Info` ([`limits::LOG_LEVEL`]). What is below costs nothing.
    #[must_use]
    pub fn log_level(mut self, level: LevelFilter) -> Self {
        self.log_level = level;
        self
    }

    #[cfg(target_os = "wasi")]
    pub(crate) fn level(&self) -> LevelFilter {
        self.log_level
    }

    /// Answers one request; errors have become problem documents.
    pub(crate) async fn respond(&self, mut request: Incoming) -> Response {
        request.set_body_bytes_max(self.body_bytes_max);
        let response = match self.dispatch(&mut request).await {
            Ok(response) => response,
            Err(error) => error.answer(&request),
        };
        if request.method() == Method::HEAD { without_body(response) } else { response }
    }

    async fn dispatch(&self, request: &mut Incoming) -> Result<Response, Error> {
        let Some(path) = self.find(request)? else {
            return match &self.fallback {
                Some(handler) => handler.call(request).await,
                None => Err(Error::not_found(format!("There is nothing at {}.", request.path()))),
            };
        };
        let wanted = request.method();
        if let Some(route) = self.route(path, wanted) {
            return route.handler.call(request).await;
        }
        if wanted == Method::HEAD
            && let Some(route) = self.route(path, &Method::GET)
        {
            return route.handler.call(request).await;
        }
        Err(self.method_not_allowed(path, wanted))
    }

    /// The path of the routes that this request is for, with its parameters set.
    fn find(&self, request: &mut Incoming) -> Result<Option<&'static str>, Error> {
        let path = request.path();
        if let Some(route) = self.routes.iter().find(|route| route.path == path && !has_parameters(path)) {
            return Ok(Some(route.path));
        }
        let Ok(found) = self.patterns().at(path) else { return Ok(None) };
        let (path, params) = (*found.value, crate::params::decode(&found.params)?);
        request.set_params(params);
        Ok(Some(path))
    }

    fn route(&self, path: &str, method: &Method) -> Option<&Route> {
        self.routes.iter().find(|route| route.path == path && route.method == *method)
    }

    fn patterns(&self) -> &matchit::Router<&'static str> {
        self.patterns.get_or_init(|| {
            let mut router = matchit::Router::new();
            let mut known: Vec<&str> = Vec::new();
            for route in &self.routes {
                if known.contains(&route.path) {
                    continue;
                }
                known.push(route.path);
                if let Err(error) = router.insert(route.path, route.path) {
                    panic!("the route `{}` cannot be: {error}", route.path);
                }
            }
            router
        })
    }

    /// Finds mistakes in routes when an app is tested, not when the first request needs them.
    #[cfg(not(target_os = "wasi"))]
    pub(crate) fn check(&self) {
        self.patterns();
    }

    fn method_not_allowed(&self, path: &str, wanted: &Method) -> Error {
        let mut allowed = String::new();
        for route in self.routes.iter().filter(|route| route.path == path) {
            for method in [Some(&route.method), (route.method == Method::GET).then_some(&Method::HEAD)] {
                let Some(method) = method.map(Method::as_str) else { continue };
                if !allowed.split(", ").any(|known| known == method) {
                    let separator = if allowed.is_empty() { "" } else { ", " };
                    allowed.push_str(separator);
                    allowed.push_str(method);
                }
            }
        }
        let detail = format!("{wanted} is not possible here; {allowed} is.");
        let error = Error::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail);
        match HeaderValue::from_str(&allowed) {
            Ok(value) => error.header(ALLOW, value),
            Err(_) => error,
        }
    }
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.routes.iter().map(|route| format!("{} {}", route.method, route.path)))
            .finish()
    }
}

/// A request for the text `/{id}` itself is one for a pattern like any other.
fn has_parameters(path: &str) -> bool {
    path.contains(['{', '}'])
}

/// The answer to HEAD says how long the body of GET would be.
fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let mut empty = Body::empty();
    if let Some(kind) = body.kind() {
        empty = empty.with_kind(kind);
    }
    // Answers that have no content have no length either (RFC 9110, 8.6).
    let Some(length) = body.content_length().filter(|length| *length > 0) else {
        return Response::from_parts(parts, empty);
    };
    parts.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    // WASI has no words for the length of a body that is not sent: the server is given the body, and leaves it out.
    Response::from_parts(parts, if cfg!(target_os = "wasi") { body } else { empty })
}
