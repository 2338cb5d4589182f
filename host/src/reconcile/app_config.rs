//! Apps' config on this node: follows what is set, gives it to the releases that are loaded, and says so.
//!
//! A loaded release keeps its code and takes new values as a whole; instances made from then on see them. This
//! goes beside the passes over an app, which may be busy preparing a candidate for a long time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use typecase_model::app_config::{AppConfig, AppConfigReceipt, ConfigError};
use typecase_model::settings::SettingsState;
use typecase_model::{App, AppName, Generation, NodeId, Release, ReleaseNumber};
use typecase_runtime::ReleaseConfig;
use typecase_store::{Store, StoreError};

/// The configs of the apps that this node has releases of. Clones share them.
#[derive(Clone)]
pub struct AppConfigs {
    store: Store,
    apps: Arc<Mutex<HashMap<AppName, Held>>>,
}

/// One app's config as this node last read it, and the releases that see it.
struct Held {
    config: AppConfig,
    releases: Vec<Attached>,
    /// The newest receipt that was written.
    told: Option<AppConfigReceipt>,
    /// The config is newer than what was reported, should that have failed.
    untold: bool,
}

/// A release in memory, or on its way there.
struct Attached {
    release: Release,
    /// Gone with the release, and at once when its component asks for no values.
    values: Weak<ReleaseConfig>,
    /// Why the newest values do not reach it; it keeps those that it has.
    problem: Option<ConfigError>,
}

impl AppConfigs {
    pub fn new(store: Store) -> Self {
        Self { store, apps: Arc::default() }
    }

    /// Reads the configs of all apps that serve at once, before the first releases are loaded.
    pub async fn read_all(&self) -> Result<(), StoreError> {
        for config in self.store.app_configs().await? {
            self.take(config);
        }
        Ok(())
    }

    /// Brings an app's releases to the config that its row speaks of. Reads it only if it is another one.
    pub async fn follow(&self, app: &App) -> Result<(), StoreError> {
        if app.active.is_none() && app.candidate.is_none() {
            // Nobody would see it.
            self.apps().retain(|name, held| *name != app.name || held.is_used());
            return Ok(());
        }
        if !self.is_due(&app.name, app.config_generation) {
            return Ok(());
        }
        let config = match app.config_generation.0 {
            0 => AppConfig::never_set(app.name.clone()),
            _ => self.store.app_config(&app.name).await?,
        };
        self.take(config);
        Ok(())
    }

    /// Whether the app's config is newer than what this node has of it, or has reported. A database that went back in
    /// time, by a fail-over or a restored backup, changes nothing here.
    pub fn is_due(&self, app: &AppName, generation: Generation) -> bool {
        let is_due = |held: &Held| held.config.generation < generation || held.untold;
        self.apps().get(app).map_or(generation.0 > 0, is_due)
    }

    /// The values that a release sees, and those that it will see while it is loaded. Refused when it cannot have
    /// what it declares.
    pub fn attach(&self, release: &Release) -> Result<Arc<ReleaseConfig>, ConfigError> {
        let mut apps = self.apps();
        let held = apps.entry(release.app.clone()).or_insert_with(|| Held::never_set(release.app.clone()));
        let values = Arc::new(ReleaseConfig::new(release.manifest.resolve_config(&held.config)?));
        held.releases.retain(|attached| attached.values.strong_count() > 0);
        held.releases.push(Attached {
            release: release.clone(),
            values: Arc::downgrade(&values),
            problem: None,
        });
        Ok(values)
    }

    /// Reports which config the release that should serve here has; nothing while the app was never configured.
    /// `serving` is the release that does serve.
    pub async fn tell(
        &self,
        app: &App,
        serving: Option<ReleaseNumber>,
        node: &NodeId,
    ) -> Result<(), StoreError> {
        let receipt = self.receipt(app, serving, node);
        if let Some(receipt) = &receipt {
            self.store.put_app_config_receipt(receipt).await?;
        }
        if let Some(held) = self.apps().get_mut(&app.name) {
            // Of an older config, read by whoever looks beside a pass, nothing is kept.
            let is_newest =
                receipt.as_ref().is_none_or(|receipt| receipt.generation == held.config.generation);
            held.untold &= !is_newest;
            held.told = receipt.filter(|_| is_newest).or(held.told.take());
        }
        Ok(())
    }

    /// What there is to report; none if that is done.
    fn receipt(&self, app: &App, serving: Option<ReleaseNumber>, node: &NodeId) -> Option<AppConfigReceipt> {
        let apps = self.apps();
        let held = apps.get(&app.name)?;
        let active = app.active?;
        if held.config.generation.0 == 0 {
            return None;
        }
        // The newest of that number, should it have been loaded again.
        let attached = held.releases.iter().rev().find(|attached| attached.release.number == active);
        let detail = match attached {
            _ if serving != Some(active) => Some(format!("release {active} does not serve here")),
            Some(Attached { problem: Some(problem), .. }) => Some(problem.to_string()),
            _ => None,
        };
        let receipt = AppConfigReceipt {
            app: app.name.clone(),
            node: node.clone(),
            generation: held.config.generation,
            state: if detail.is_none() { SettingsState::Applied } else { SettingsState::Failed },
            detail,
            // The store writes the database's time.
            at_unix_ms: 0,
        };
        (held.told.as_ref() != Some(&receipt)).then_some(receipt)
    }

    /// Gives a config to all releases of its app that are loaded. An older one than they have is left alone.
    fn take(&self, config: AppConfig) {
        let mut apps = self.apps();
        let app = config.app.clone();
        let held = apps.entry(app.clone()).or_insert_with(|| Held::never_set(app.clone()));
        if held.config.generation >= config.generation {
            return;
        }
        held.config = config;
        held.untold = true;
        let generation = held.config.generation;
        for attached in &mut held.releases {
            let Some(values) = attached.values.upgrade() else { continue };
            let number = attached.release.number;
            match attached.release.manifest.resolve_config(&held.config) {
                Ok(resolved) => {
                    values.replace(resolved);
                    attached.problem = None;
                    tracing::info!(
                        app.name = %app, release.number = %number, config.generation = %generation,
                        "new config holds"
                    );
                }
                Err(problem) => {
                    tracing::error!(
                        app.name = %app, release.number = %number, config.generation = %generation,
                        "the release keeps its config: {problem}"
                    );
                    attached.problem = Some(problem);
                }
            }
        }
    }

    fn apps(&self) -> MutexGuard<'_, HashMap<AppName, Held>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn never_set(app: AppName) -> Self {
        Self { config: AppConfig::never_set(app), releases: Vec::new(), told: None, untold: false }
    }

    fn is_used(&self) -> bool {
        self.releases.iter().any(|attached| attached.values.strong_count() > 0)
    }
}
