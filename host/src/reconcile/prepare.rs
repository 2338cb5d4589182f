//! From a release's record to a release in memory: fetch, verify, unpack, compile or map, link, check.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use typecase_bundle::{Assets, BundleError};
use typecase_cluster::Announcements;
use typecase_model::{ConfigError, Digest, Limits, Release, Topic};
use typecase_runtime::{ComponentLabels, PrepareError, Runtime};
use typecase_store::{Store, StoreError};

use super::app_config::AppConfigs;
use super::attempts::{ATTEMPTS_MAX, Attempts};
use super::local::{LocalReleases, Unpacked};
use crate::ingress::{HealthError, LiveRelease, check_health};
use crate::settings::LiveSettings;

/// How long another node may take to put a damaged bundle back, well within a rollout's time.
const HEALING_TIMEOUT: Duration = Duration::from_secs(10);
const HEALING_POLL: Duration = Duration::from_millis(500);

/// Makes releases ready on this node.
#[derive(Clone)]
pub struct Preparer {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    announcements: Announcements,
    runtime: Arc<Runtime>,
    local: LocalReleases,
    attempts: Attempts,
    settings: Arc<LiveSettings>,
    configs: AppConfigs,
    /// Runtimes of the data plane: guests never run on the control plane's.
    shards: Vec<Handle>,
    next_shard: AtomicUsize,
}

/// Why this node cannot serve a release; becomes the detail of its receipt.
#[derive(Debug, thiserror::Error)]
pub enum NotPrepared {
    #[error("fetching the bundle failed: {0}")]
    Fetch(#[from] StoreError),
    #[error("unpacking the bundle failed: {0}")]
    Unpack(#[from] BundleError),
    #[error(transparent)]
    Component(#[from] PrepareError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the assets cannot be read: {0}")]
    Assets(String),
    #[error(transparent)]
    Health(#[from] HealthError),
    #[error(
        "the node's process has ended {ATTEMPTS_MAX} times while it prepared this release; its log may say how. Publish it \
         again to have it tried again"
    )]
    EndsProcess,
    #[error("preparing was interrupted: {0}")]
    Interrupted(String),
}

impl NotPrepared {
    /// True when trying again later may help, because the fault lies with a dependency or this machine.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Fetch(error) if error.may_be_retried())
    }
}

impl Preparer {
    pub fn new(
        store: Store,
        announcements: Announcements,
        runtime: Arc<Runtime>,
        local: LocalReleases,
        attempts: Attempts,
        settings: Arc<LiveSettings>,
        shards: Vec<Handle>,
    ) -> Self {
        let next_shard = AtomicUsize::new(0);
        let configs = AppConfigs::new(store.clone());
        let inner =
            Inner { store, announcements, runtime, local, attempts, settings, configs, shards, next_shard };
        Self { inner: Arc::new(inner) }
    }

    /// The values that the releases made here see.
    pub fn configs(&self) -> &AppConfigs {
        &self.inner.configs
    }

    pub fn settings(&self) -> &LiveSettings {
        &self.inner.settings
    }

    /// The limits that hold for a release now.
    pub fn limits_of(&self, release: &Release) -> Limits {
        release.manifest.limits_within(&self.inner.settings.load().effective.limits)
    }

    /// Loads a release that has served before, or that was checked by [`Self::check`] on all nodes.
    pub async fn load(&self, release: &Release) -> Result<Arc<LiveRelease>, NotPrepared> {
        let unpacked = self.unpacked(release).await?;
        match self.assemble(release, unpacked).await {
            Err(NotPrepared::Component(PrepareError::Damaged) | NotPrepared::Assets(_)) => {
                // Someone changed the local copy: make it again from the bundle, once.
                tracing::warn!(app.name = %release.app, release.number = %release.number, "the local copy is damaged and fetched again");
                self.inner.local.remove(release.digest);
                let unpacked = self.unpacked(release).await?;
                self.assemble(release, unpacked).await
            }
            result => result,
        }
    }

    /// Loads a candidate and calls its health path.
    pub async fn load_and_check(&self, release: &Release) -> Result<Arc<LiveRelease>, NotPrepared> {
        let _attempt = self.inner.attempts.begin(release).ok_or(NotPrepared::EndsProcess)?;
        let live = self.load(release).await?;
        let shards = &self.inner.shards;
        let shard = self.inner.next_shard.fetch_add(1, Ordering::Relaxed) % shards.len().max(1);
        let Some(shard) = shards.get(shard) else {
            return Err(NotPrepared::Interrupted("no serving thread".into()));
        };
        let checked = live.clone();
        let health = shard
            .spawn(async move { check_health(&checked).await })
            .await
            .map_err(|error| NotPrepared::Interrupted(error.to_string()))?;
        match (health, &live.component) {
            (Err(HealthError::Call { path, mut error }), Some(component)) => {
                error.detail = component.explain(&error).await;
                Err(HealthError::Call { path, error }.into())
            }
            (health, _) => Ok(health.map(|()| live)?),
        }
    }

    async fn unpacked(&self, release: &Release) -> Result<Unpacked, NotPrepared> {
        let digest = release.digest;
        if let Some(unpacked) = self.inner.local.get(digest) {
            return Ok(unpacked);
        }
        let work = self.inner.local.work(digest);
        self.fetch(digest, &work.bundle).await?;
        let inner = self.inner.clone();
        blocking(move || inner.local.unpack(digest, &work)).await?.map_err(NotPrepared::Unpack)
    }

    /// Fetches a bundle; what is damaged or missing may come back from a node that has a copy.
    async fn fetch(&self, digest: Digest, destination: &Path) -> Result<(), StoreError> {
        let Inner { store, announcements, .. } = &*self.inner;
        let mut result = store.bundles().fetch_to(digest, destination).await;
        let deadline = Instant::now() + HEALING_TIMEOUT;
        let mut reported = false;
        while store.cluster_id().is_some()
            && matches!(result, Err(StoreError::Corrupt { .. } | StoreError::NotFound(_)))
            && Instant::now() < deadline
        {
            if !reported {
                tracing::warn!(bundle.digest = %digest, "asking the other nodes for a copy of a damaged bundle");
                store.report_damage(digest).await?;
                announcements.announce(Topic::Bundles);
                reported = true;
            }
            tokio::time::sleep(HEALING_POLL).await;
            result = store.bundles().fetch_to(digest, destination).await;
        }
        result
    }

    async fn assemble(
        &self,
        release: &Release,
        mut unpacked: Unpacked,
    ) -> Result<Arc<LiveRelease>, NotPrepared> {
        let limits = self.limits_of(release);
        let config = self.inner.configs.attach(release)?;
        let labels = ComponentLabels { app: release.app.clone(), release: release.number.0 };
        let runtime = self.inner.runtime.clone();
        let handle = Handle::current();
        // Dropped with this future, where the thread below would go on: a compiler that nobody waits for ends.
        let (wanted, unwanted) = tokio::sync::oneshot::channel::<()>();
        // Hashing and mapping code blocks; so does waiting for the compiler, harmlessly.
        let loaded = blocking(move || -> Result<_, NotPrepared> {
            let component = match unpacked.meta.component {
                None => None,
                Some(digest) => {
                    let path = unpacked.component_path();
                    let hint = unpacked.meta.generation;
                    let prepared = runtime.prepare(&path, digest, hint, labels, limits, config);
                    let (component, generation) = handle.block_on(async {
                        tokio::select! {
                            biased;
                            _ = unwanted => Err(NotPrepared::Interrupted("nobody waits for it any more".into())),
                            prepared = prepared => Ok(prepared?),
                        }
                    })?;
                    unpacked.remember(generation);
                    Some(component)
                }
            };
            let assets = match unpacked.meta.has_assets {
                false => None,
                true => Some(
                    Assets::open(&unpacked.blob_path(), &unpacked.index_path())
                        .map_err(|error| NotPrepared::Assets(error.to_string()))?,
                ),
            };
            Ok((component, assets))
        });
        let (component, assets) = loaded.await??;
        drop(wanted);
        let app = &release.manifest.app;
        Ok(Arc::new(LiveRelease {
            app: release.app.clone(),
            number: release.number,
            limits,
            component,
            assets,
            fallback: app.fallback.clone(),
            health: app.health.clone(),
            hosts: app.hosts.clone(),
        }))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, NotPrepared> {
    tokio::task::spawn_blocking(work).await.map_err(|error| NotPrepared::Interrupted(error.to_string()))
}
