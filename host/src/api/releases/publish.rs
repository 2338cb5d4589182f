//! `PUT /api/v1/apps/{app}/releases` and its rehearsal: takes the upload as it comes, then hands it over.

use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use serde::Deserialize;
use typecase_model::{Digest, Generation, Principal};

use super::super::problem::Problem;
use super::super::request::{OfApp, Parameters};
use super::{Waiting, answer};
use crate::control::publish::PublishRequest;
use crate::control::upload::Uploaded;
use crate::control::{Control, ControlError};
use crate::judge::Report;

/// A sender that is silent for so long is gone; its place and its file are given back.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publishing {
    /// `false`: prepare everywhere, and leave the active release serving.
    #[serde(default = "yes")]
    activate: bool,
    #[serde(default)]
    note: String,
    /// `sha256:...` of the body, so that damage on the way is noticed.
    digest: Option<Digest>,
    expected_generation: Option<Generation>,
    // Not a flattened `Waiting`: serde cannot refuse unknown keys then.
    wait: Option<u8>,
    timeout_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checking {
    digest: Option<Digest>,
}

fn yes() -> bool {
    true
}

pub async fn publish(
    State(control): State<Control>,
    Extension(principal): Extension<Principal>,
    OfApp(app): OfApp,
    Parameters(publishing): Parameters<Publishing>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Publishing { activate, note, digest, expected_generation, wait, timeout_ms } = publishing;
    let wait = Waiting { wait, timeout_ms }.timeout(&control)?;
    let digests: Vec<Digest> = digest.into_iter().chain(digests_of(&headers)?).collect();
    let uploaded = receive(&control, &headers, body).await?;
    // From here on the clock of "last byte to serving" runs.
    let started = Instant::now();
    for digest in digests {
        uploaded.expect_digest(digest)?;
    }
    let request = PublishRequest { app, note, activate, expected: expected_generation };
    let candidacy = control.publish(request, uploaded, &principal).await?;
    answer(&control, candidacy, wait, started).await
}

/// `POST /api/v1/apps/{app}/check`: the same upload, and what would become of it.
pub async fn check(
    State(control): State<Control>,
    OfApp(app): OfApp,
    Parameters(checking): Parameters<Checking>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Report>, Problem> {
    let digests: Vec<Digest> = checking.digest.into_iter().chain(digests_of(&headers)?).collect();
    let uploaded = receive(&control, &headers, body).await?;
    for digest in digests {
        uploaded.expect_digest(digest)?;
    }
    Ok(Json(control.check(&app, uploaded).await?))
}

async fn receive(control: &Control, headers: &HeaderMap, body: Body) -> Result<Uploaded, ControlError> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse().ok());
    let mut upload = control.begin_upload(announced).await?;
    let mut pieces = body.into_data_stream();
    loop {
        match tokio::time::timeout(STALL_TIMEOUT, pieces.next()).await {
            Ok(Some(Ok(piece))) => upload.write(&piece).await?,
            Ok(Some(Err(_))) => return Err(ControlError::UploadCut { bytes: upload.bytes() }),
            Ok(None) => return upload.finish().await,
            Err(_) => {
                return Err(ControlError::UploadStalled { seconds: STALL_TIMEOUT.as_secs() });
            }
        }
    }
}

/// Digests that headers announce: ours, and SHA-256 ones of RFC 9530 and its predecessor.
fn digests_of(headers: &HeaderMap) -> Result<Vec<Digest>, Problem> {
    let mut digests = Vec::new();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(digest) = text("x-typecase-digest") {
        digests.push(digest.trim().parse()?);
    }
    for value in [text("content-digest"), text("digest")].into_iter().flatten() {
        for field in value.split(',') {
            let Some((algorithm, encoded)) = field.trim().split_once('=') else { continue };
            if !algorithm.eq_ignore_ascii_case("sha-256") {
                continue;
            }
            let bytes = STANDARD.decode(encoded.trim_matches(':')).ok();
            let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
            let bytes = bytes.ok_or_else(|| {
                Problem::invalid("digest-malformed", "the digest header is not base64 of 32 bytes")
            })?;
            digests.push(Digest::from_bytes(bytes));
        }
    }
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_headers() {
        let digest = Digest::of(b"x");
        let encoded = "LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=";
        for (name, value, expected) in [
            ("x-typecase-digest", digest.to_string(), vec![digest]),
            ("digest", format!("md5=x, SHA-256={encoded}"), vec![Digest::of(b"x")]),
            ("content-digest", format!("sha-256=:{encoded}:"), vec![Digest::of(b"x")]),
            ("content-digest", "sha-512=:AA==:".to_owned(), vec![]),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            let found = digests_of(&headers).unwrap();
            assert_eq!(found.len(), expected.len(), "{name}");
            assert_eq!(found, expected, "{name}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("digest", "sha-256=AAAA".parse().unwrap());
        assert_eq!(digests_of(&headers).unwrap_err().code, "digest-malformed");
    }
}
