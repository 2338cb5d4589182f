//! `/api/v1/settings`: the cluster's settings, their history, and what each node made of them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use typecase_model::settings::{
    Difference, SETTING_KEYS, SettingChanges, SettingsReceipt, SettingsRevision, SettingsState,
};
use typecase_model::{Generation, NodeHealth, NodeId, Principal, Settings};

use super::problem::Problem;
use super::request::{Json, Parameters};
use crate::control::Control;
use crate::control::settings::{ChangeKind, Changed, NodeProgress, Progress, SettingsChange};

/// Nodes apply a change within a second, or two when its announcement was lost; the rest is for slow databases.
const WAIT: Duration = Duration::from_secs(15);
/// The longest a client may wait.
const WAIT_MS_MAX: u64 = 600_000;
const HISTORY_COUNT: u32 = 20;
const HISTORY_COUNT_MAX: u32 = typecase_store::SETTINGS_KEPT;

#[derive(Serialize)]
pub struct SettingsShown {
    #[serde(flatten)]
    revision: RevisionShown,
    /// The keys that are set.
    settings: Settings,
    /// What this node has applied; none while it could not read the settings since its start.
    applied_generation: Option<Generation>,
    /// All keys, with what they come to on this node.
    effective: Vec<EffectiveValue>,
}

#[derive(Serialize)]
struct RevisionShown {
    generation: Generation,
    changed_by: String,
    note: String,
    created_unix_ms: i64,
}

#[derive(Serialize)]
struct EffectiveValue {
    key: &'static str,
    value: Value,
    /// `settings`, or `node` for what the node's configuration or the built-in default says.
    origin: &'static str,
    meaning: &'static str,
}

pub async fn show(State(control): State<Control>) -> Result<axum::Json<SettingsShown>, Problem> {
    let revision = control.settings().await?;
    let here = control.settings_here();
    let effective = SETTING_KEYS
        .iter()
        .filter_map(|key| {
            let value = here.values.value(key.name)?.to_json();
            let is_ignored = here.misfits.iter().any(|misfit| misfit.key == key.name);
            let is_set = here.set.value(key.name).is_some() && !is_ignored;
            let origin = if is_set { "settings" } else { "node" };
            Some(EffectiveValue { key: key.name, value, origin, meaning: key.meaning })
        })
        .collect();
    let settings = revision.settings.clone();
    let applied_generation = here.generation;
    Ok(axum::Json(SettingsShown { revision: revision.into(), settings, applied_generation, effective }))
}

impl From<SettingsRevision> for RevisionShown {
    fn from(revision: SettingsRevision) -> Self {
        let SettingsRevision { generation, settings: _, changed_by, note, created_unix_ms } = revision;
        Self { generation, changed_by, note, created_unix_ms }
    }
}

/// How a client wants to wait.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// 0: answer at once.
    wait: Option<u8>,
    timeout_ms: Option<u64>,
}

impl Waiting {
    pub(super) fn timeout(&self) -> Result<Duration, Problem> {
        match (self.wait, self.timeout_ms) {
            (Some(0), _) => Ok(Duration::ZERO),
            (None | Some(1), None) => Ok(WAIT),
            (None | Some(1), Some(ms)) if ms <= WAIT_MS_MAX => Ok(Duration::from_millis(ms)),
            (None | Some(1), Some(ms)) => {
                let detail = format!("timeout_ms is {ms}, the most is {WAIT_MS_MAX}");
                Err(Problem::invalid("timeout-too-long", detail))
            }
            (Some(_), _) => Err(Problem::invalid("query-invalid", "wait is 0 or 1")),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Refuse when the settings are at another generation by now.
    expected: Option<Generation>,
    /// New values; null takes a key out.
    changes: SettingChanges,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    to: Generation,
    expected: Option<Generation>,
    #[serde(default)]
    note: String,
}

/// How a change ended.
#[derive(Serialize)]
struct ChangeShown {
    generation: Generation,
    /// True: it was so already, and nothing was done.
    unchanged: bool,
    changes: Vec<Difference>,
    #[serde(flatten)]
    progress: ProgressShown,
    duration_ms: u64,
}

#[derive(Serialize)]
pub struct ProgressShown {
    /// True when every live node has applied them.
    converged: bool,
    receipts: Vec<NodeShown>,
}

#[derive(Serialize)]
pub struct Receipts {
    generation: Generation,
    #[serde(flatten)]
    progress: ProgressShown,
}

#[derive(Serialize)]
struct NodeShown {
    node: NodeId,
    name: String,
    health: NodeHealth,
    /// `applied`, `failed`, or `pending`.
    state: &'static str,
    detail: Option<String>,
    ignored: Vec<String>,
    at_unix_ms: Option<i64>,
}

pub async fn change(
    State(control): State<Control>,
    Extension(principal): Extension<Principal>,
    Parameters(waiting): Parameters<Waiting>,
    Json(Change { expected, changes, note }): Json<Change>,
) -> Result<Response, Problem> {
    let change = SettingsChange { expected, kind: ChangeKind::Keys(changes), note };
    make(&control, change, &principal, &waiting).await
}

pub async fn roll_back(
    State(control): State<Control>,
    Extension(principal): Extension<Principal>,
    Parameters(waiting): Parameters<Waiting>,
    Json(RollBack { to, expected, note }): Json<RollBack>,
) -> Result<Response, Problem> {
    let note = if note.is_empty() { format!("rolled back to generation {to}") } else { note };
    let change = SettingsChange { expected, kind: ChangeKind::RollBack(to), note };
    make(&control, change, &principal, &waiting).await
}

/// Changes the settings, waits as the client wants it, and says how it ended.
async fn make(
    control: &Control,
    change: SettingsChange,
    principal: &Principal,
    waiting: &Waiting,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let timeout = waiting.timeout()?;
    let Changed { revision, differences } = control.change_settings(change, principal).await?;
    let keys: BTreeSet<String> = differences.iter().map(|difference| difference.key.clone()).collect();
    let progress = control.wait_for_settings(revision.generation, &keys, timeout).await?;
    let status = if progress.converged { StatusCode::OK } else { StatusCode::ACCEPTED };
    let shown = ChangeShown {
        generation: revision.generation,
        unchanged: differences.is_empty(),
        changes: differences,
        progress: progress.into(),
        duration_ms: started.elapsed().as_millis() as u64,
    };
    Ok((status, axum::Json(shown)).into_response())
}

pub async fn receipts(State(control): State<Control>) -> Result<axum::Json<Receipts>, Problem> {
    let progress = control.settings_progress().await?;
    Ok(axum::Json(Receipts { generation: progress.generation, progress: progress.into() }))
}

impl From<Progress> for ProgressShown {
    fn from(progress: Progress) -> Self {
        let receipts = progress.nodes.into_iter().map(NodeShown::from).collect();
        Self { converged: progress.converged, receipts }
    }
}

impl From<NodeProgress> for NodeShown {
    fn from(progress: NodeProgress) -> Self {
        let NodeProgress { node, name, health, receipt } = progress;
        let Some(SettingsReceipt { state, detail, ignored, at_unix_ms, .. }) = receipt else {
            let (state, ignored) = ("pending", Vec::new());
            return Self { node, name, health, state, detail: None, ignored, at_unix_ms: None };
        };
        let state = SettingsState::as_str(state);
        Self { node, name, health, state, detail, ignored, at_unix_ms: Some(at_unix_ms) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    count: Option<u32>,
}

#[derive(Serialize)]
pub struct History {
    history: Vec<PastChangeShown>,
}

#[derive(Serialize)]
struct PastChangeShown {
    #[serde(flatten)]
    revision: RevisionShown,
    /// Null when the change before it is not kept any more.
    changes: Option<Vec<Difference>>,
}

pub async fn history(
    State(control): State<Control>,
    Parameters(HistoryQuery { count }): Parameters<HistoryQuery>,
) -> Result<axum::Json<History>, Problem> {
    let count = count.unwrap_or(HISTORY_COUNT).clamp(1, HISTORY_COUNT_MAX);
    let changes = control.settings_history(count).await?.into_iter();
    let shown = changes
        .map(|change| PastChangeShown { revision: change.revision.into(), changes: change.differences });
    Ok(axum::Json(History { history: shown.collect() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffQuery {
    from: Option<Generation>,
    to: Option<Generation>,
}

#[derive(Serialize)]
pub struct Diff {
    from: Generation,
    to: Generation,
    changes: Vec<Difference>,
}

pub async fn diff(
    State(control): State<Control>,
    Parameters(DiffQuery { from, to }): Parameters<DiffQuery>,
) -> Result<axum::Json<Diff>, Problem> {
    let (from, to, changes) = control.settings_diff(from, to).await?;
    Ok(axum::Json(Diff { from, to, changes }))
}
