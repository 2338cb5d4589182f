//! From a request to the answer that an asset gives.

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, LOCATION, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::preconditions::{self, Wanted};
use super::{Asset, Assets, Representation, Target};

/// Pages are asked for again each time: they name the other assets of their release.
const CACHE_PAGES: HeaderValue = HeaderValue::from_static("no-cache");
/// A release may replace any file at any time; the tag makes asking again cheap.
const CACHE_FILES: HeaderValue = HeaderValue::from_static("public, max-age=0, must-revalidate");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// The most headers that an answer has, so that the map never grows.
const HEADERS_MAX: usize = 10;

/// What of a request decides about an asset.
#[derive(Debug, Clone, Copy)]
pub struct AssetRequest<'a> {
    pub method: &'a Method,
    /// The app's own path, with the prefix stripped and the percent encoding as the client sent it.
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    /// The manifest's `fallback`.
    pub fallback: Option<&'a str>,
}

/// Answers a request with an asset; none if there is none and the component, or a 404, is due.
///
/// Methods other than GET and HEAD belong to the component; where there is none, answer them with
/// [`method_not_allowed`] if [`Assets::contains`] the path.
pub fn respond(assets: &Assets, request: &AssetRequest<'_>) -> Option<Response<Bytes>> {
    let is_head = request.method == Method::HEAD;
    if assets.is_empty() || !(is_head || request.method == Method::GET) {
        return None;
    }
    let (asset, is_page) = match assets.target(request.path) {
        Some(Target::File(number)) => {
            let asset = assets.file(number)?;
            (asset, asset.is_html)
        }
        Some(Target::Folder) => return redirect_into_folder(request),
        None => (assets.named(request.fallback?).filter(|_| is_navigation(request.headers))?, true),
    };
    Some(answer(asset, is_page, is_head, request.headers))
}

/// The answer to a method that only a component could handle, for an app that has none.
pub fn method_not_allowed() -> Response<Bytes> {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn answer(asset: &Asset, is_page: bool, is_head: bool, request: &HeaderMap) -> Response<Bytes> {
    let (chosen, encoding) = negotiate(asset, request);
    if preconditions::match_fails(request, &chosen.etag) {
        return empty(StatusCode::PRECONDITION_FAILED);
    }

    let mut response = Response::new(Bytes::new());
    let mut headers = HeaderMap::with_capacity(HEADERS_MAX);
    headers.insert(ETAG, chosen.etag.clone());
    headers.insert(CACHE_CONTROL, if is_page { CACHE_PAGES } else { CACHE_FILES });
    if asset.brotli.is_some() || asset.gzip.is_some() {
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    if preconditions::is_current(request, &chosen.etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.headers_mut() = headers;
        return response;
    }

    headers.insert(CONTENT_TYPE, asset.content_type.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    let length = chosen.body.len() as u64;
    // Ranges are defined for GET only.
    let wanted = if is_head { Wanted::Whole } else { preconditions::wanted(request, &chosen.etag, length) };
    match wanted {
        Wanted::Whole => {
            headers.insert(CONTENT_LENGTH, chosen.length.clone());
            if !is_head {
                *response.body_mut() = chosen.body.clone();
            }
        }
        Wanted::Part { first, last } => {
            // Both lie within the body, whose length is a usize.
            let body = chosen.body.slice(first as usize..=last as usize);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            insert_text(&mut headers, CONTENT_RANGE, &format!("bytes {first}-{last}/{length}"));
            *response.body_mut() = body;
        }
        Wanted::Unsatisfiable => {
            let mut response = empty(StatusCode::RANGE_NOT_SATISFIABLE);
            insert_text(response.headers_mut(), CONTENT_RANGE, &format!("bytes */{length}"));
            return response;
        }
    }
    *response.headers_mut() = headers;
    response
}

fn negotiate<'a>(asset: &'a Asset, request: &HeaderMap) -> (&'a Representation, Option<&'static str>) {
    if asset.brotli.is_none() && asset.gzip.is_none() {
        return (&asset.plain, None);
    }
    let accepted = preconditions::accepts(request);
    let brotli = asset.brotli.as_ref().filter(|_| accepted.brotli > 0);
    let gzip = asset.gzip.as_ref().filter(|_| accepted.gzip > 0);
    match (brotli, gzip) {
        (Some(_), Some(gzip)) if accepted.gzip > accepted.brotli => (gzip, Some("gzip")),
        (Some(brotli), _) => (brotli, Some("br")),
        (None, Some(gzip)) => (gzip, Some("gzip")),
        (None, None) => (&asset.plain, None),
    }
}

/// A browser that goes to a page, as opposed to a script or a picture that is missing.
fn is_navigation(headers: &HeaderMap) -> bool {
    match headers.get(SEC_FETCH_MODE) {
        Some(mode) => mode == "navigate",
        None => headers
            .get_all(ACCEPT)
            .into_iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.contains("text/html")),
    }
}

/// A relative target holds under any prefix, so the prefix need not be known here.
fn redirect_into_folder(request: &AssetRequest<'_>) -> Option<Response<Bytes>> {
    let name = request.path.rsplit('/').next()?;
    let (mark, query) = request.query.map_or(("", ""), |query| ("?", query));
    let location = HeaderValue::try_from(format!("./{name}/{mark}{query}")).ok()?;
    let mut response = empty(StatusCode::PERMANENT_REDIRECT);
    response.headers_mut().insert(LOCATION, location);
    response.headers_mut().insert(CACHE_CONTROL, CACHE_PAGES);
    Some(response)
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    // The texts given here are digits and punctuation.
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}
