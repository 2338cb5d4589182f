//! `typecase publish PATH`: pack, upload, wait until the release is active on every node or failed.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures_util::StreamExt;
use reqwest::Body;
use tokio_util::io::ReaderStream;
use typecase_model::AppName;

use super::answer::Answer;
use super::client::{Client, Upload};
use super::failure::Failure;
use super::local_bundle;
use super::progress::Progress;
use super::rollout;

/// What the server keeps of a note; a longer one is cut nowhere, but refused here.
const NOTE_CHARS_MAX: usize = 1_000;
/// The longest rollout that may be asked for: an hour.
const TIMEOUT_S_MAX: u64 = 3_600;
/// How long a rollout may take when nothing is asked for: the server's own default and some more.
const ROLLOUT_TIMEOUT: Duration = Duration::from_secs(150);
/// An upload slower than this for all of its length is given up.
const UPLOAD_BYTES_PER_SECOND_MIN: u64 = 32 << 10;
/// Large enough that a bundle of 100 MB is not cut into a million pieces.
const PIECE_BYTES: usize = 64 << 10;

#[derive(Debug, Args)]
pub struct PublishArguments {
    /// A project folder (with typecase.toml), a bundle (.zip) or a bare component (.wasm, needs --name).
    path: PathBuf,
    /// The app's name, when it is not the manifest's.
    #[arg(long, value_name = "APP")]
    name: Option<AppName>,
    /// A remark that is kept with the release.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, value_parser = note)]
    note: String,
    /// Prepare the release on all nodes, but leave the active one serving.
    #[arg(long)]
    no_activate: bool,
    /// How long the nodes may take, in seconds.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=TIMEOUT_S_MAX))]
    timeout: Option<u64>,
}

pub async fn run(client: &Client, arguments: PublishArguments) -> Result<Answer, Failure> {
    let bundle = local_bundle::open(&arguments.path, arguments.name.as_ref())?;
    let app = arguments.name.unwrap_or(bundle.app);

    // Whether the server is there and lets us in is asked before megabytes are sent: an answer
    // that arrives in the middle of an upload is easily lost.
    match client.get(&format!("/api/v1/apps/{app}")).await {
        Err(failure) if failure.document["status"] != 404 => return Err(failure),
        _ => {}
    }

    let mut query =
        vec![("activate", (!arguments.no_activate).to_string()), ("digest", bundle.digest.to_string())];
    if !arguments.note.is_empty() {
        query.push(("note", arguments.note));
    }
    let mut timeout = ROLLOUT_TIMEOUT;
    if let Some(timeout_s) = arguments.timeout {
        query.push(("timeout_ms", (timeout_s * 1_000).to_string()));
        timeout = Duration::from_secs(timeout_s + 30);
    }
    timeout += Duration::from_secs(bundle.size_bytes / UPLOAD_BYTES_PER_SECOND_MIN);

    let progress = Progress::upload(format!("{app}"), bundle.size_bytes);
    let upload = upload(bundle.file, bundle.size_bytes, &progress);
    let result = client.put(&format!("/api/v1/apps/{app}/releases"), &query, upload, timeout).await;
    progress.clear();
    match result {
        Ok(document) => rollout::answer(document),
        Err(failure) if failure.code() == "no-answer" || failure.code() == "server-unreachable" => {
            Err(failure.advise(format!("`typecase releases {app}` shows what became of it")))
        }
        Err(failure) => Err(failure),
    }
}

fn upload(file: File, size_bytes: u64, progress: &Progress) -> Upload {
    let progress = progress.clone();
    let mut sent_bytes = 0;
    let pieces =
        ReaderStream::with_capacity(tokio::fs::File::from_std(file), PIECE_BYTES).inspect(move |piece| {
            let Ok(piece) = piece else { return };
            progress.advance(piece.len());
            sent_bytes += piece.len() as u64;
            if sent_bytes >= size_bytes {
                progress.wait("preparing on the nodes".to_owned());
            }
        });
    Upload { body: Body::wrap_stream(pieces), size_bytes, content_type: "application/zip" }
}

fn note(text: &str) -> Result<String, String> {
    match text.chars().count() {
        0..=NOTE_CHARS_MAX => Ok(text.to_owned()),
        length => Err(format!("{length} characters are too many: use at most {NOTE_CHARS_MAX}")),
    }
}
