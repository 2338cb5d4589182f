//! `/api/v1/apps/{app}/releases`: publishing, and the changes that wait for a rollout as publishing does.

mod publish;

use std::time::{Duration, Instant};

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use typecase_model::{AppName, Digest, Generation, Principal, Receipt, Release, ReleaseNumber, ReleaseState};
use typecase_store::Candidacy;

use super::problem::Problem;
use super::request::{Json, OfApp, OfRelease, Parameters};
use crate::control::rollout::Outcome;
use crate::control::{Control, ControlError};

pub use publish::{check, publish};

/// The longest a client may wait for a rollout.
const WAIT_MS_MAX: u64 = 3_600_000;
/// How much longer than a rollout a client waits when it says nothing: it shall hear how it ended.
const WAIT_BEYOND_ROLLOUT: Duration = Duration::from_secs(30);

/// How a client wants to wait.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// 0: answer at once, and let the client look at the release later.
    wait: Option<u8>,
    timeout_ms: Option<u64>,
}

#[derive(Serialize)]
pub struct ReleaseList {
    releases: Vec<Release>,
}

#[derive(Serialize)]
pub struct ReceiptList {
    receipts: Vec<Receipt>,
}

/// How a change of what serves ended.
#[derive(Serialize)]
struct RolloutShown {
    app: AppName,
    release: ReleaseNumber,
    state: ReleaseState,
    digest: Digest,
    /// Of the app, when the change was made.
    generation: Generation,
    /// True: it was active already, and nothing was done.
    unchanged: bool,
    /// Live nodes that do not serve the active release yet, by name.
    behind: Vec<String>,
    receipts: Vec<Receipt>,
    duration_ms: u64,
}

pub async fn list(
    State(control): State<Control>,
    OfApp(app): OfApp,
) -> Result<axum::Json<ReleaseList>, Problem> {
    Ok(axum::Json(ReleaseList { releases: control.releases(&app).await? }))
}

pub async fn show(
    State(control): State<Control>,
    OfRelease(app, number): OfRelease,
) -> Result<axum::Json<Release>, Problem> {
    Ok(axum::Json(control.release(&app, number).await?))
}

pub async fn receipts(
    State(control): State<Control>,
    OfRelease(app, number): OfRelease,
) -> Result<axum::Json<ReceiptList>, Problem> {
    Ok(axum::Json(ReceiptList { receipts: control.receipts(&app, number).await? }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    release: ReleaseNumber,
    /// Refuse when the app is at another generation by now.
    expected_generation: Option<Generation>,
}

pub async fn activate(
    State(control): State<Control>,
    Extension(principal): Extension<Principal>,
    OfApp(app): OfApp,
    Parameters(waiting): Parameters<Waiting>,
    Json(activation): Json<Activation>,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let wait = waiting.timeout(&control)?;
    let Activation { release, expected_generation } = activation;
    let candidacy = control.activate(&app, release, expected_generation, &principal).await?;
    answer(&control, candidacy, wait, started).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    to: Option<ReleaseNumber>,
}

pub async fn roll_back(
    State(control): State<Control>,
    Extension(principal): Extension<Principal>,
    OfApp(app): OfApp,
    Parameters(waiting): Parameters<Waiting>,
    Json(RollBack { to }): Json<RollBack>,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let wait = waiting.timeout(&control)?;
    let candidacy = control.roll_back(&app, to, &principal).await?;
    answer(&control, candidacy, wait, started).await
}

impl Waiting {
    /// How long to wait; none when the client does not want to.
    fn timeout(&self, control: &Control) -> Result<Option<Duration>, Problem> {
        let timeout = match self.timeout_ms {
            Some(ms) if ms > WAIT_MS_MAX => {
                let detail = format!("timeout_ms is {ms}, the most is {WAIT_MS_MAX}");
                return Err(Problem::invalid("timeout-too-long", detail));
            }
            Some(ms) => Duration::from_millis(ms),
            None => control.rollout_timeout() + WAIT_BEYOND_ROLLOUT,
        };
        match self.wait {
            Some(0) => Ok(None),
            None | Some(1) => Ok(Some(timeout)),
            Some(_) => Err(Problem::invalid("query-invalid", "wait is 0 or 1")),
        }
    }
}

/// Waits for the rollout, if the client wants that, and says how it ended.
async fn answer(
    control: &Control,
    candidacy: Candidacy,
    wait: Option<Duration>,
    started: Instant,
) -> Result<Response, Problem> {
    let shown = |release: Release, receipts, generation, unchanged| RolloutShown {
        app: release.app,
        release: release.number,
        state: release.state,
        digest: release.digest,
        generation,
        unchanged,
        behind: Vec::new(),
        receipts,
        duration_ms: started.elapsed().as_millis() as u64,
    };
    let (release, generation) = match candidacy {
        Candidacy::AlreadyActive(release, generation) => {
            let receipts = control.receipts(&release.app, release.number).await?;
            let shown = shown(release, receipts, generation, true);
            return Ok(axum::Json(shown).into_response());
        }
        Candidacy::Candidate(release, generation) => (release, generation),
    };
    let accepted = |shown| (StatusCode::ACCEPTED, axum::Json(shown)).into_response();
    let Some(timeout) = wait else {
        return Ok(accepted(shown(release, Vec::new(), generation, false)));
    };
    // The end of a rollout raises the generation once more.
    let ended = Generation(generation.0 + 1);
    match control.wait(&release.app, release.number, timeout).await? {
        Outcome::Active(release, receipts, behind) => {
            let shown = RolloutShown { behind, ..shown(release, receipts, ended, false) };
            Ok(axum::Json(shown).into_response())
        }
        Outcome::Prepared(release, receipts) => {
            Ok(axum::Json(shown(release, receipts, ended, false)).into_response())
        }
        Outcome::StillPreparing(release, receipts) => {
            Ok(accepted(shown(release, receipts, generation, false)))
        }
        Outcome::Failed(release, receipts) => Err(ControlError::ReleaseFailed {
            app: release.app,
            release: release.number,
            reason: release.failure.unwrap_or_default(),
            receipts,
        }
        .into()),
    }
}
