//! `typecase publish PATH`: pack, upload, wait until the release is active on every node or failed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::{StreamExt, stream};
use reqwest::Body;
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;
use typecase_bundle::BUNDLE_BYTES_MAX;
use typecase_model::{AppName, Principal, Role};

use super::answer::Answer;
use super::client::{Client, Upload};
use super::failure::{Exit, Failure};
use super::progress::Progress;
use super::project::Project;
use super::{build, bundle_source, report, rollout};

/// What the server keeps of a note; a longer one would be refused after the upload.
const NOTE_CHARS_MAX: usize = 1_000;
/// The longest rollout that may be asked for: an hour.
const TIMEOUT_S_MAX: u64 = 3_600;
/// The server ends a rollout after 120 s unless its operator changed that; then the reason is worth waiting for.
const TIMEOUT_S_DEFAULT: u64 = 150;
/// How much longer than the server this side waits: its answer has to get here.
const ANSWER_GRACE: Duration = Duration::from_secs(30);
/// An upload slower than this for all of its length is given up.
const UPLOAD_BYTES_PER_SECOND_MIN: u64 = 32 << 10;
/// What is smaller is in the server's buffers before anybody can refuse it.
const HELD_BACK_BYTES_MIN: u64 = 256 << 10;
/// Longer round trips are not worth waiting for.
const REFUSAL_WAIT_MAX: Duration = Duration::from_secs(1);
/// Large enough that a bundle of 100 MB is not cut into a million pieces.
const PIECE_BYTES: usize = 64 << 10;

#[derive(Debug, Args)]
pub struct PublishArguments {
    /// A project folder (with typecase.toml), a bundle (.zip) or a bare component (.wasm, needs --name).
    path: PathBuf,
    /// Run the project's build command first.
    #[arg(long)]
    build: bool,
    /// The app's name: a bare component needs it, in a manifest it is given already.
    #[arg(long, value_name = "APP")]
    name: Option<AppName>,
    /// A remark that is kept with the release.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, value_parser = note)]
    note: String,
    /// Prepare the release on all nodes, but leave the active one serving.
    #[arg(long)]
    no_activate: bool,
    /// How long to wait for the nodes, in seconds; the rollout goes on after that.
    #[arg(long, value_name = "S", default_value_t = TIMEOUT_S_DEFAULT)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=TIMEOUT_S_MAX))]
    timeout: u64,
}

pub async fn run(client: &Client, arguments: PublishArguments) -> Result<Answer, Failure> {
    if arguments.build {
        build::build(&Project::open(&arguments.path)?).await?;
    } else {
        warn_of_newer_sources(&arguments.path);
    }
    let source = bundle_source::find(&arguments.path, arguments.name.as_ref())?;
    let Admitted { bundle_bytes_max, round_trip } = ask_first(client).await?;
    let mut bundle = source.bundle(bundle_bytes_max)?;
    bundle.unlink();
    let app = arguments.name.unwrap_or_else(|| bundle.app.clone());

    let mut query = vec![
        ("activate", (!arguments.no_activate).to_string()),
        ("digest", bundle.digest.to_string()),
        ("timeout_ms", (arguments.timeout * 1_000).to_string()),
    ];
    let has_note = !arguments.note.is_empty();
    if has_note {
        query.push(("note", arguments.note));
    }
    let timeout = Duration::from_secs(arguments.timeout) + upload_time(bundle.size_bytes) + ANSWER_GRACE;

    let progress = Progress::upload(format!("{app}"), bundle.size_bytes);
    let upload = upload(bundle.file, bundle.size_bytes, round_trip, &progress, "preparing on the nodes");
    let path = format!("/api/v1/apps/{app}/releases");
    let result = tokio::select! {
        result = client.put(&path, &query, upload, timeout) => result,
        _ = tokio::signal::ctrl_c() => {
            let detail = format!(
                "interrupted; what the server has received goes on there: `typecase releases {app}` shows it, `typecase withdraw {app}` or `typecase rollback {app}` undo it"
            );
            Err(Failure::local(Exit::Failed, "interrupted", detail))
        }
    };
    progress.clear();
    match result {
        Ok(document) if has_note && document["unchanged"] == true => {
            Ok(without_note(rollout::answer(document)?))
        }
        Ok(document) => rollout::answer(document),
        Err(failure) if failure.code() == "no-answer" || failure.code() == "server-unreachable" => {
            Err(failure.advise(format!("`typecase releases {app}` shows what became of it")))
        }
        Err(failure) => Err(report::explained(failure, &app, bundle.manifest.as_ref())),
    }
}

/// What a server says before anything is packed and sent.
#[derive(Debug)]
pub struct Admitted {
    pub bundle_bytes_max: u64,
    pub round_trip: Duration,
}

/// Whether the server is there, lets us in and takes bundles of which size is asked before megabytes are compressed
/// and sent: an answer that arrives in the middle of an upload is easily lost.
pub async fn ask_first(client: &Client) -> Result<Admitted, Failure> {
    let asked = Instant::now();
    let (me, settings) = tokio::join!(client.get("/api/v1/me"), client.get("/api/v1/settings"));
    let round_trip = asked.elapsed();
    let Principal { role, .. } = rollout::parse(&me?)?;
    if role < Role::Publisher {
        let (have, needed) = (role.as_str(), Role::Publisher.as_str());
        let detail = format!("your role `{have}` is not enough to publish: it takes `{needed}`");
        return Err(Failure::local(Exit::NotAllowed, "role-missing", detail));
    }
    // One that does not say judges the bundle when it has it.
    let bundle_mb = settings.ok().and_then(|settings| effective(&settings, "limits.bundle_mb"));
    let bytes_max = bundle_mb.map_or(BUNDLE_BYTES_MAX, |mb| mb.saturating_mul(1 << 20));
    Ok(Admitted { bundle_bytes_max: bytes_max.min(BUNDLE_BYTES_MAX), round_trip })
}

fn effective(settings: &Value, wanted: &str) -> Option<u64> {
    let mut values = settings["effective"].as_array()?.iter();
    values.find(|value| value["key"] == wanted)?["value"].as_u64()
}

/// A release is never changed, its note neither.
fn without_note(mut answer: Answer) -> Answer {
    let message = format!(
        "the note is not kept: release {} stays as it was published, with the note it has",
        answer.document["release"]
    );
    answer.text.push_str(&format!("\nwarning: {message}"));
    answer.document["warnings"] = json!([{ "code": "note-dropped", "message": message }]);
    answer
}

/// The bundle as it is read. A large one is held back for as long as a refusal by its size alone takes
/// to get here, because a server that refuses closes the connection, and its answer is lost in the rush.
pub fn upload(
    file: File,
    size_bytes: u64,
    round_trip: Duration,
    progress: &Progress,
    then: &'static str,
) -> Upload {
    let round_trip = round_trip.min(REFUSAL_WAIT_MAX);
    let progress = progress.clone();
    let mut sent_bytes = 0;
    let pieces =
        ReaderStream::with_capacity(tokio::fs::File::from_std(file), PIECE_BYTES).inspect(move |piece| {
            let Ok(piece) = piece else { return };
            progress.advance(piece.len());
            sent_bytes += piece.len() as u64;
            if sent_bytes >= size_bytes {
                progress.wait(then.to_owned());
            }
        });
    let held_back = stream::once(async move {
        if size_bytes > HELD_BACK_BYTES_MIN {
            tokio::time::sleep(round_trip).await;
        }
        pieces
    });
    Upload { body: Body::wrap_stream(held_back.flatten()), size_bytes, content_type: "application/zip" }
}

/// How long an upload may take.
pub fn upload_time(size_bytes: u64) -> Duration {
    Duration::from_secs(size_bytes / UPLOAD_BYTES_PER_SECOND_MIN)
}

/// A forgotten build is the commonest reason why a change is not to be seen.
fn warn_of_newer_sources(path: &Path) {
    // What is wrong with the project is said when it is packed.
    let newer = Project::open(path).ok().and_then(|project| project.newer_source());
    if let Some(newer) = newer {
        eprintln!(
            "warning: {} is newer than the component: `typecase publish --build` builds it first",
            newer.display()
        );
    }
}

fn note(text: &str) -> Result<String, String> {
    match text.chars().count() {
        0..=NOTE_CHARS_MAX => Ok(text.to_owned()),
        length => Err(format!("{length} characters are too many: use at most {NOTE_CHARS_MAX}")),
    }
}
