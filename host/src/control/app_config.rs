//! An app's config: look, change, and wait until the release that serves sees it on every node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;
use typecase_model::app_config::{
    AppConfig, AppConfigReceipt, CONFIG_VALUE_BYTES_MAX, ConfigContent, ConfigName,
};
use typecase_model::settings::SettingsState;
use typecase_model::{AppName, Generation, Manifest, Node, NodeHealth, NodeId, Principal, Release, Topic};
use typecase_store::{ConfigChange, ConfigChanged, ConfigDifference, Desired, NewConfigValue, StoreError};

use super::{Control, ControlError};

/// How often whoever waits looks at the nodes' receipts, which are not announced.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What is set for an app, what its release declares, and where that stands on the nodes.
#[derive(Debug)]
pub struct ConfigDetails {
    pub config: AppConfig,
    /// The release whose manifest counts: the active one, or else the candidate.
    pub release: Option<Release>,
    pub progress: ConfigProgress,
}

/// A change as someone asks for it.
#[derive(Debug)]
pub struct ConfigRequest {
    pub expected: Option<Generation>,
    pub set: BTreeMap<ConfigName, NewConfigValue>,
    pub unset: BTreeSet<ConfigName>,
}

/// What came of a change.
#[derive(Debug)]
pub struct ConfigOutcome {
    pub generation: Generation,
    pub differences: Vec<ConfigDifference>,
    /// Sentences about what was stored and will not be seen.
    pub warnings: Vec<String>,
    pub progress: ConfigProgress,
}

/// Where a generation of an app's config stands on the nodes.
#[derive(Debug)]
pub struct ConfigProgress {
    /// True when the release that serves sees it on every live node; also when none serves.
    pub converged: bool,
    /// Empty while no release serves.
    pub nodes: Vec<ConfigOnNode>,
}

#[derive(Debug)]
pub struct ConfigOnNode {
    pub node: NodeId,
    pub name: String,
    pub health: NodeHealth,
    /// None: it has not spoken about this generation yet.
    pub receipt: Option<AppConfigReceipt>,
}

impl Control {
    /// What is set for an app. Whoever shows it leaves the values of secrets out.
    pub async fn app_config(&self, app: &AppName) -> Result<ConfigDetails, ControlError> {
        let config = self.inner.store.app_config(app).await?;
        let desired = self.desired(app).await?;
        let serves = desired.as_ref().is_some_and(|desired| desired.app.active.is_some());
        let progress = match serves && config.generation.0 > 0 {
            true => self.config_progress(app, config.generation).await?,
            false => ConfigProgress { converged: true, nodes: Vec::new() },
        };
        let release = desired.and_then(|desired| desired.active.or(desired.candidate));
        Ok(ConfigDetails { config, release, progress })
    }

    /// Sets and takes out values, all or nothing, and waits for the nodes. What a release declares secret is one,
    /// whatever the request says.
    pub async fn change_app_config(
        &self,
        app: &AppName,
        request: ConfigRequest,
        principal: &Principal,
        timeout: Duration,
    ) -> Result<ConfigOutcome, ControlError> {
        let ConfigRequest { expected, mut set, unset } = request;
        refuse_malformed(&set, &unset)?;
        let desired = self.desired(app).await?;
        for release in desired.iter().flat_map(releases) {
            refuse_unset_of_required(release, &unset)?;
            for (name, value) in &mut set {
                value.secret |= is_secret(&release.manifest, name);
            }
        }
        let changed_by = &principal.name;
        let change = ConfigChange { app, expected, set: &set, unset: &unset, changed_by };
        let ConfigChanged { generation, differences } = self.inner.store.change_app_config(&change).await?;
        if !differences.is_empty() {
            let names: Vec<&str> = differences.iter().map(|difference| difference.name.as_str()).collect();
            tracing::info!(
                app.name = %app, config.generation = %generation, config.names = names.join(","),
                principal.name = %principal.name, "config changed"
            );
            self.inner.announcements.announce(Topic::App(app.clone()));
        }
        let active = desired.as_ref().and_then(|desired| desired.active.as_ref());
        let warnings = active.map_or_else(Vec::new, |active| undeclared(active, &set));
        let progress = match desired.is_some_and(|desired| desired.app.active.is_some()) {
            true if generation.0 > 0 => self.wait_for_config(app, generation, timeout).await?,
            _ => ConfigProgress { converged: true, nodes: Vec::new() },
        };
        Ok(ConfigOutcome { generation, differences, warnings, progress })
    }

    /// Refuses a release that lacks a value, before any node tries to prepare it; seals what its manifest declares
    /// secret and was set as something else before.
    pub(super) async fn require_config(
        &self,
        app: &AppName,
        manifest: &Manifest,
    ) -> Result<(), ControlError> {
        if manifest.config.is_empty() {
            return Ok(());
        }
        let config = self.stored_config(app).await?;
        manifest.resolve_config(&config)?;
        let open = config.values.iter().filter(|(name, value)| !value.secret && is_secret(manifest, name));
        let open: BTreeSet<ConfigName> = open.map(|(name, _)| name.clone()).collect();
        if !open.is_empty() {
            self.inner.store.seal_app_config(app, &open).await?;
        }
        Ok(())
    }

    /// What was set for an app, which need not be published yet.
    pub(super) async fn stored_config(&self, app: &AppName) -> Result<AppConfig, ControlError> {
        match self.inner.store.app_config(app).await {
            Ok(config) => Ok(config),
            Err(StoreError::NotFound(_)) => Ok(AppConfig::never_set(app.clone())),
            Err(error) => Err(error.into()),
        }
    }

    async fn desired(&self, app: &AppName) -> Result<Option<Desired>, ControlError> {
        Ok(self.inner.store.desired_of(app).await?)
    }

    /// Waits until every live node has said what became of a generation, or until the time is over.
    async fn wait_for_config(
        &self,
        app: &AppName,
        generation: Generation,
        timeout: Duration,
    ) -> Result<ConfigProgress, ControlError> {
        let deadline = Instant::now() + timeout;
        loop {
            let now = Instant::now();
            match self.config_progress(app, generation).await {
                Ok(progress) if progress.is_final() || now >= deadline => return Ok(progress),
                Ok(_) => {}
                // The change is made; a database that is back soon can still tell what became of it.
                Err(ControlError::Store(error)) if error.may_be_retried() => {
                    if now >= deadline {
                        return Ok(ConfigProgress { converged: false, nodes: Vec::new() });
                    }
                    tracing::debug!(app.name = %app, "looking at what became of the config again soon: {error}");
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep_until((now + POLL_INTERVAL).min(deadline)).await;
        }
    }

    async fn config_progress(
        &self,
        app: &AppName,
        generation: Generation,
    ) -> Result<ConfigProgress, ControlError> {
        let nodes = self.inner.store.nodes().await?;
        let receipts = self.inner.store.app_config_receipts(app).await?;
        Ok(progress(generation, nodes, &receipts))
    }
}

impl ConfigProgress {
    /// Nobody is left to wait for.
    fn is_final(&self) -> bool {
        self.nodes.iter().all(|node| node.health == NodeHealth::Lost || node.receipt.is_some())
    }
}

fn progress(generation: Generation, nodes: Vec<Node>, receipts: &[AppConfigReceipt]) -> ConfigProgress {
    // What was said about an older generation says nothing about this one.
    let of = |node: &NodeId| {
        receipts.iter().find(|receipt| receipt.node == *node && receipt.generation >= generation).cloned()
    };
    let nodes: Vec<ConfigOnNode> = nodes
        .into_iter()
        .map(|node| ConfigOnNode {
            receipt: of(&node.id),
            node: node.id,
            name: node.name,
            health: node.health,
        })
        .collect();
    let mut live = nodes.iter().filter(|node| node.health == NodeHealth::Live).peekable();
    let has_applied =
        |node: &ConfigOnNode| node.receipt.as_ref().is_some_and(|r| r.state == SettingsState::Applied);
    let converged = live.peek().is_some() && live.all(has_applied);
    ConfigProgress { converged, nodes }
}

fn releases(desired: &Desired) -> impl Iterator<Item = &Release> {
    desired.active.iter().chain(&desired.candidate)
}

fn is_secret(manifest: &Manifest, name: &ConfigName) -> bool {
    manifest.config.get(name.as_str()).is_some_and(|key| key.secret)
}

fn refuse_malformed(
    set: &BTreeMap<ConfigName, NewConfigValue>,
    unset: &BTreeSet<ConfigName>,
) -> Result<(), ControlError> {
    let mut problems = Vec::new();
    for (name, value) in set {
        let bytes = value.text.len();
        if bytes > CONFIG_VALUE_BYTES_MAX {
            problems
                .push(format!("{name}: the value has {bytes} bytes, the most is {CONFIG_VALUE_BYTES_MAX}"));
        }
        if unset.contains(name) {
            problems.push(format!("{name}: it is both set and taken out"));
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(ControlError::ConfigInvalid(problems)),
    }
}

/// What serves goes on serving: nobody takes away what it cannot do without.
fn refuse_unset_of_required(release: &Release, unset: &BTreeSet<ConfigName>) -> Result<(), ControlError> {
    let required = |name: &&ConfigName| {
        release.manifest.config.get(name.as_str()).is_some_and(|key| key.required && key.default.is_none())
    };
    match unset.iter().find(required) {
        None => Ok(()),
        Some(name) => {
            let (app, number) = (release.app.clone(), release.number);
            Err(ControlError::ConfigRequired { app, release: number, name: name.clone() })
        }
    }
}

fn undeclared(active: &Release, set: &BTreeMap<ConfigName, NewConfigValue>) -> Vec<String> {
    set.keys()
        .filter(|name| !active.manifest.config.contains_key(name.as_str()))
        .map(|name| {
            format!(
                "{name}: release {} of `{}` does not declare it in [config] and does not see it",
                active.number, active.app
            )
        })
        .collect()
}

/// The text of a value, for those who may read it: not of a secret, and not of what does not open.
pub fn shown(content: &ConfigContent, secret: bool) -> Option<&str> {
    match content {
        ConfigContent::Text(text) if !secret => Some(text),
        _ => None,
    }
}
