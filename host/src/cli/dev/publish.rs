//! From what was built to the release that serves, through the node's API like any other publish.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use reqwest::Body;
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;
use typecase_model::AppName;

use crate::cli::GlobalArguments;
use crate::cli::client::{Client, Upload};
use crate::cli::credentials::CLI_TOKEN_FILE;
use crate::cli::failure::{Exit, Failure};
use crate::cli::project::Project;
use crate::config::Secret;
use crate::dev::DevState;

/// Compiling the largest components takes some ten seconds.
const TIMEOUT: Duration = Duration::from_secs(180);
/// Up to here a bundle is sent from memory.
const IN_MEMORY_BYTES_MAX: u64 = 32 << 20;
/// To look back at; nobody rolls back to yesterday's typing.
const RELEASES_KEPT: u32 = 5;
/// How often a publish is tried again that met the rest of one that was cut off.
const BUSY_RETRIES: u32 = 40;
const BUSY_PAUSE: Duration = Duration::from_millis(250);

/// What came of a publish.
#[derive(Debug, Clone, Copy)]
pub struct Published {
    pub release: u32,
    /// The same was serving already.
    pub unchanged: bool,
}

/// The node's API, as the command line of its own machine uses it.
pub fn client(state: &DevState, data: &Path) -> Result<Client, Failure> {
    let Some(admin) = state.admin else {
        let detail = "the development node is not there".to_owned();
        return Err(Failure::local(Exit::Unreachable, "no-node", detail));
    };
    // Read here: what the environment says about tokens is meant for other servers.
    let token = Secret::read(&data.join(CLI_TOKEN_FILE).display().to_string())
        .map_err(|problem| Failure::local(Exit::NotAllowed, "token-unreadable", problem))?;
    Client::new(&GlobalArguments {
        server: format!("http://{admin}"),
        token: Some(token.expose().to_owned()),
        data: None,
        json: false,
    })
}

/// Packs the project and has it served.
pub async fn publish(client: &Client, project: &Project) -> Result<Published, Failure> {
    let packing = project.clone();
    let bundle = tokio::task::spawn_blocking(move || packing.pack());
    let bundle = bundle.await.map_err(|error| internal(&error.to_string()))??;
    let app = &project.manifest().app.name;
    let path = format!("/api/v1/apps/{app}/releases");
    let query = [
        ("activate", "true".to_owned()),
        ("digest", bundle.digest.to_string()),
        ("timeout_ms", TIMEOUT.as_millis().to_string()),
    ];
    let mut retries = 0;
    loop {
        let file = bundle.file.try_clone().map_err(|error| internal(&error.to_string()))?;
        let upload = upload(file, bundle.size_bytes).await?;
        match client.put(&path, &query, upload, TIMEOUT).await {
            Ok(document) => return published(&document),
            // Of a run that was ended in the middle of a publish; the node goes on with it.
            Err(failure) if failure.code() == "rollout-in-progress" && retries < BUSY_RETRIES => {
                retries += 1;
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

async fn upload(mut file: std::fs::File, size_bytes: u64) -> Result<Upload, Failure> {
    let unreadable = |error: std::io::Error| internal(&format!("reading the bundle: {error}"));
    std::io::Seek::rewind(&mut file).map_err(unreadable)?;
    let body = match size_bytes {
        0..=IN_MEMORY_BYTES_MAX => {
            let mut bytes = Vec::with_capacity(size_bytes as usize);
            file.take(IN_MEMORY_BYTES_MAX).read_to_end(&mut bytes).map_err(unreadable)?;
            Body::from(bytes)
        }
        _ => Body::wrap_stream(ReaderStream::new(tokio::fs::File::from_std(file))),
    };
    Ok(Upload { body, size_bytes, content_type: "application/zip" })
}

fn published(document: &Value) -> Result<Published, Failure> {
    match (
        document["release"].as_u64().and_then(|release| u32::try_from(release).ok()),
        document["state"].as_str(),
    ) {
        (Some(release), Some("active")) => {
            Ok(Published { release, unchanged: document["unchanged"].as_bool().unwrap_or(false) })
        }
        _ => {
            let detail = format!("the release is not active: {document}");
            Err(Failure::local(Exit::NotConverged, "not-converged", detail))
        }
    }
}

/// Sets values of the app's config; they may be set before there is an app.
pub async fn configure(client: &Client, app: &AppName, values: &[(String, String)]) -> Result<(), Failure> {
    if values.is_empty() {
        return Ok(());
    }
    let set: Value = values.iter().map(|(name, value)| (name.clone(), json!({ "value": value }))).collect();
    client.patch(&format!("/api/v1/apps/{app}/config"), &json!({ "set": set }), TIMEOUT).await?;
    Ok(())
}

/// Keeps few of the many releases that an author makes in a day; said once, in a new data folder.
pub async fn keep_few_releases(client: &Client) -> Result<(), Failure> {
    let generation = client.get("/api/v1/settings").await?["generation"].as_u64();
    if generation == Some(0) {
        let changes = json!({ "retention.releases": RELEASES_KEPT });
        let change = json!({ "expected": generation, "changes": changes, "note": "typecase dev" });
        client.patch("/api/v1/settings", &change, TIMEOUT).await?;
    }
    Ok(())
}

/// Ends what an earlier run published under another name; its host names would be in the way.
pub async fn withdraw_others(client: &Client, app: &AppName) -> Result<(), Failure> {
    let apps = client.get("/api/v1/apps").await?;
    let others = apps["apps"].as_array().into_iter().flatten().filter(|other| !other["active"].is_null());
    for other in others.filter_map(|other| other["name"].as_str()).filter(|other| *other != app.as_str()) {
        client.post(&format!("/api/v1/apps/{other}/withdraw"), &json!({}), TIMEOUT).await?;
    }
    Ok(())
}

fn internal(detail: &str) -> Failure {
    Failure::local(Exit::Failed, "internal", detail.to_owned())
}
