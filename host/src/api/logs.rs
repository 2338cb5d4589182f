//! `/api/v1/apps/{app}/logs`: an app's log as lines of JSON, whole or going on.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::access::Asker;
use super::problem::Problem;
use super::request::{OfApp, Parameters};
use crate::control::logs::{LogAnswer, LogQuestion, Since};
use crate::control::{Control, ControlError};
use crate::logs::REQUEST_CHARS_MIN;

pub const CONTENT_TYPE_LINES: &str = "application/x-ndjson";

const TAIL_DEFAULT: usize = 100;
const TAIL_MAX: usize = 10_000;

/// Request ids of ours have 36.
const REQUEST_CHARS_MAX: usize = 64;

/// An empty line says that somebody is still there, to clients and to whatever is in between.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// After this, whoever follows asks again, and shows a token that may have been revoked meanwhile.
const FOLLOW_MAX: Duration = Duration::from_secs(3_600);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogParameters {
    tail: Option<usize>,
    since: Option<String>,
    level: Option<String>,
    request: Option<String>,
    release: Option<u32>,
    node: Option<String>,
    follow: Option<String>,
    /// `node`: the entries of the asked node alone; what other nodes ask for.
    scope: Option<String>,
}

pub async fn show(
    State(control): State<Control>,
    Extension(asker): Extension<Asker>,
    OfApp(app): OfApp,
    Parameters(parameters): Parameters<LogParameters>,
) -> Result<Response, Problem> {
    let question = question(parameters)?;
    // What the nodes give each other is their own part, nothing else.
    if asker == Asker::Node && !question.this_node_only {
        return Err(ControlError::TokenInvalid.into());
    }
    let body = match control.logs(&app, question).await? {
        LogAnswer::Whole(bytes) => Body::from(bytes),
        LogAnswer::Stream(lines) => {
            let end = (asker == Asker::Principal).then(|| Instant::now() + FOLLOW_MAX);
            with_heartbeat(lines, end)
        }
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_LINES)),
        // nginx would otherwise keep lines until it has many.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, body).into_response())
}

fn question(parameters: LogParameters) -> Result<LogQuestion, Problem> {
    let invalid = |detail: String| Problem::invalid("query-invalid", detail);
    let tail = parameters.tail.unwrap_or(TAIL_DEFAULT);
    if tail > TAIL_MAX {
        return Err(invalid(format!("tail: at most {TAIL_MAX} entries at once")));
    }
    let since = parameters.since.as_deref().map(Since::parse).transpose();
    let level = parameters.level.as_deref().map(str::parse).transpose();
    let request = parameters.request;
    if let Some(request) = &request
        && !(REQUEST_CHARS_MIN..=REQUEST_CHARS_MAX).contains(&request.len())
    {
        let detail =
            format!("request: give an id, or at least the last {REQUEST_CHARS_MIN} characters of one");
        return Err(invalid(detail));
    }
    let follow = match parameters.follow.as_deref() {
        None | Some("0" | "false") => false,
        Some("1" | "true") => true,
        Some(_) => return Err(invalid("follow: write 1 or 0".to_owned())),
    };
    let this_node_only = match parameters.scope.as_deref() {
        None => false,
        Some("node") => true,
        Some(_) => return Err(invalid("scope: write `node`, or leave it out".to_owned())),
    };
    Ok(LogQuestion {
        tail,
        since: since.map_err(|error| invalid(format!("since: {error}")))?,
        level: level
            .map_err(|error: typecase_model::log::UnknownLevel| invalid(format!("level: {error}")))?,
        request,
        release: parameters.release,
        node: parameters.node,
        follow,
        this_node_only,
    })
}

fn with_heartbeat(lines: mpsc::Receiver<Bytes>, end: Option<Instant>) -> Body {
    Body::from_stream(stream::unfold((lines, end), async |(mut lines, end)| {
        if end.is_some_and(|end: Instant| end <= Instant::now()) {
            return None;
        }
        let next = tokio::time::timeout(HEARTBEAT, lines.recv()).await;
        let line = next.unwrap_or(Some(Bytes::from_static(b"\n")))?;
        Some((Ok::<_, Infallible>(line), (lines, end)))
    }))
}
