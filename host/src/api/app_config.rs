//! `/api/v1/apps/{app}/config`: what is set for an app. The value of a secret goes in here, and never out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use typecase_model::app_config::{AppConfigReceipt, ConfigContent, ConfigName};
use typecase_model::manifest::ConfigKey;
use typecase_model::{AppName, Generation, NodeHealth, NodeId, Principal, ReleaseNumber};
use typecase_store::NewConfigValue;

use super::problem::Problem;
use super::request::{Json, OfApp, Parameters};
use super::settings::Waiting;
use crate::control::Control;
use crate::control::app_config::{
    ConfigDetails, ConfigOnNode, ConfigOutcome, ConfigProgress, ConfigRequest, shown,
};

/// All the names and values that an app may have, with room for what JSON makes of them.
pub const BODY_BYTES_MAX: usize = 4 << 20;

#[derive(Serialize)]
pub struct ConfigShown {
    app: AppName,
    generation: Generation,
    /// The release whose manifest declares the keys: the active one, or else the candidate.
    release: Option<ReleaseNumber>,
    config: Vec<KeyShown>,
    #[serde(flatten)]
    progress: ProgressShown,
}

#[derive(Serialize)]
struct KeyShown {
    name: String,
    /// Null when nothing is set and there is no default, and for secrets always.
    value: Option<String>,
    secret: bool,
    /// `set`, `default`, or `missing`.
    origin: &'static str,
    declared: bool,
    required: bool,
    description: String,
    changed_by: Option<String>,
    updated_unix_ms: Option<i64>,
    /// Why a value that is set does not reach the app.
    problem: Option<String>,
}

#[derive(Serialize)]
struct ProgressShown {
    /// True when the release that serves sees the values on every live node.
    converged: bool,
    receipts: Vec<NodeShown>,
}

#[derive(Serialize)]
struct NodeShown {
    node: NodeId,
    name: String,
    health: NodeHealth,
    /// `applied`, `failed`, or `pending`.
    state: &'static str,
    detail: Option<String>,
    at_unix_ms: Option<i64>,
}

pub async fn show(
    State(control): State<Control>,
    OfApp(app): OfApp,
) -> Result<axum::Json<ConfigShown>, Problem> {
    let ConfigDetails { config, release, progress } = control.app_config(&app).await?;
    let generation = config.generation;
    let number = release.as_ref().map(|release| release.number);
    let mut declared = release.map(|release| release.manifest.config).unwrap_or_default();
    let mut keys: Vec<KeyShown> = Vec::new();
    for (name, value) in config.values {
        let key = declared.remove(name.as_str());
        let secret = value.secret || key.as_ref().is_some_and(|key| key.secret);
        keys.push(KeyShown {
            value: shown(&value.content, secret).map(str::to_owned),
            secret,
            origin: "set",
            changed_by: Some(value.changed_by),
            updated_unix_ms: Some(value.updated_unix_ms),
            problem: match value.content {
                ConfigContent::Unreadable(why) => Some(why),
                ConfigContent::Text(_) => None,
            },
            ..KeyShown::declared(name.into(), key)
        });
    }
    keys.extend(declared.into_iter().map(|(name, key)| KeyShown::declared(name, Some(key))));
    keys.sort_by(|a, b| a.name.cmp(&b.name));
    let progress = progress.into();
    Ok(axum::Json(ConfigShown { app, generation, release: number, config: keys, progress }))
}

impl KeyShown {
    /// A key of which nothing is set.
    fn declared(name: String, key: Option<ConfigKey>) -> Self {
        let declared = key.is_some();
        let ConfigKey { default, required, secret, description } = key.unwrap_or_default();
        let origin = if default.is_some() { "default" } else { "missing" };
        let (changed_by, updated_unix_ms, problem) = (None, None, None);
        Self {
            name,
            value: default,
            secret,
            origin,
            declared,
            required,
            description,
            changed_by,
            updated_unix_ms,
            problem,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Refuse when the config is at another generation by now.
    expected: Option<Generation>,
    #[serde(default)]
    set: BTreeMap<ConfigName, Value>,
    #[serde(default)]
    unset: BTreeSet<ConfigName>,
}

/// A value to be set: its text, or its text and whether it is a secret.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text, or {\"value\": text, \"secret\": true}")]
enum Value {
    Text(String),
    Detailed(Detailed),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Detailed {
    value: String,
    #[serde(default)]
    secret: bool,
}

/// How a change ended.
#[derive(Serialize)]
struct ChangeShown {
    app: AppName,
    generation: Generation,
    /// True: it was so already, and nothing was done.
    unchanged: bool,
    changes: Vec<DifferenceShown>,
    warnings: Vec<String>,
    #[serde(flatten)]
    progress: ProgressShown,
    duration_ms: u64,
}

#[derive(Serialize)]
struct DifferenceShown {
    name: ConfigName,
    /// `set` or `unset`.
    change: &'static str,
    secret: bool,
}

pub async fn change(
    State(control): State<Control>,
    Extension(principal): Extension<Principal>,
    OfApp(app): OfApp,
    Parameters(waiting): Parameters<Waiting>,
    Json(Change { expected, set, unset }): Json<Change>,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let timeout = waiting.timeout()?;
    let set = set.into_iter().map(|(name, value)| {
        let (text, secret) = match value {
            Value::Text(text) => (text, false),
            Value::Detailed(Detailed { value, secret }) => (value, secret),
        };
        (name, NewConfigValue { text, secret })
    });
    let request = ConfigRequest { expected, set: set.collect(), unset };
    let outcome = control.change_app_config(&app, request, &principal, timeout).await?;
    let ConfigOutcome { generation, differences, warnings, progress } = outcome;
    let status = if progress.converged { StatusCode::OK } else { StatusCode::ACCEPTED };
    let changes = differences.into_iter().map(|difference| DifferenceShown {
        name: difference.name,
        change: if difference.is_set { "set" } else { "unset" },
        secret: difference.secret,
    });
    let changes: Vec<_> = changes.collect();
    let shown = ChangeShown {
        app,
        generation,
        unchanged: changes.is_empty(),
        changes,
        warnings,
        progress: progress.into(),
        duration_ms: started.elapsed().as_millis() as u64,
    };
    Ok((status, axum::Json(shown)).into_response())
}

impl From<ConfigProgress> for ProgressShown {
    fn from(progress: ConfigProgress) -> Self {
        let receipts = progress.nodes.into_iter().map(NodeShown::from).collect();
        Self { converged: progress.converged, receipts }
    }
}

impl From<ConfigOnNode> for NodeShown {
    fn from(on_node: ConfigOnNode) -> Self {
        let ConfigOnNode { node, name, health, receipt } = on_node;
        let Some(AppConfigReceipt { state, detail, at_unix_ms, .. }) = receipt else {
            return Self { node, name, health, state: "pending", detail: None, at_unix_ms: None };
        };
        Self { node, name, health, state: state.as_str(), detail, at_unix_ms: Some(at_unix_ms) }
    }
}
