//! Reads the parts of a request into types that were checked; what does not fit becomes a problem.

use std::str::FromStr;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use serde::de::DeserializeOwned;
use typecase_model::{AppName, NameError, ReleaseNumber};

use super::problem::Problem;

/// A small body comes in one piece; this is for a slow line, not for a client that drips.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The app of `/apps/{app}`.
pub struct OfApp(pub AppName);

/// The app and release of `/apps/{app}/releases/{release}`.
pub struct OfRelease(pub AppName, pub ReleaseNumber);

/// A query string; unknown keys are errors, so that a misspelt one is not ignored.
pub struct Parameters<T>(pub T);

/// A JSON body.
pub struct Json<T>(pub T);

impl<S: Send + Sync> FromRequestParts<S> for OfApp {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(app) = path::<String, S>(parts, state).await?;
        Ok(Self(parse(&app)?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OfRelease {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((app, release)) = path::<(String, String), S>(parts, state).await?;
        Ok(Self(parse(&app)?, parse(&release)?))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(parameters) = Query::try_from_uri(&parts.uri)
            .map_err(|error| Problem::invalid("query-invalid", error.body_text()))?;
        Ok(Self(parameters))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content-type-unsupported",
                "send JSON, with the header `Content-Type: application/json`",
            ));
        }
        let body = body(request, state).await?;
        let parsed = serde_json::from_slice(&body);
        parsed.map(Self).map_err(|error| {
            Problem::invalid("body-invalid", format!("the body is not what is expected here: {error}"))
        })
    }
}

/// A whole small body, under the router's limit and a deadline.
pub async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) => Err(cut_off(rejection)),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body-stalled",
            format!("the body did not come within {} s", BODY_TIMEOUT.as_secs()),
        )),
    }
}

fn cut_off(rejection: BytesRejection) -> Problem {
    let detail = rejection.body_text();
    Problem::of_status(rejection.into_response().status(), detail)
}

async fn path<T: DeserializeOwned + Send, S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
) -> Result<Path<T>, Problem> {
    Path::from_request_parts(parts, state)
        .await
        .map_err(|error| Problem::invalid("path-invalid", error.body_text()))
}

fn parse<T: FromStr<Err = NameError>>(text: &str) -> Result<T, Problem> {
    Ok(text.parse()?)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}
