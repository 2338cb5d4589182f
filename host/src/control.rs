//! The control plane's use cases: what people and programs may do to the cluster, whatever face they use.
//!
//! No HTTP types and no SQL. Nothing here loads an app: a use case changes the database and announces it,
//! reconcile does the rest, on this node as on every other.

pub mod apps;
pub mod error;
pub mod identity;
pub mod nodes;
pub mod publish;
pub mod rollout;
pub mod upload;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use typecase_bundle::BundlePolicy;
use typecase_cluster::Announcements;
use typecase_model::LimitPolicy;
use typecase_store::Store;

pub use error::{Class, ControlError};
pub use identity::Identity;
use upload::Uploads;

/// Bundles that are judged at once: each may hold a whole component in memory and keep a core busy.
const CHECKS_MAX: usize = 2;

/// What the control plane is made of; all of it comes from the composition root.
pub struct ControlParts {
    pub store: Store,
    pub announcements: Announcements,
    pub identity: Identity,
    pub limits: LimitPolicy,
    pub bundle_policy: BundlePolicy,
    /// A folder on the node's own disk for uploads; whatever a crash left there is removed.
    pub uploads_dir: PathBuf,
    /// How long all nodes together may take to prepare a release.
    pub rollout_timeout: Duration,
}

/// The use cases; clones share everything.
#[derive(Clone)]
pub struct Control {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    announcements: Announcements,
    identity: Identity,
    limits: LimitPolicy,
    bundle_policy: BundlePolicy,
    uploads: Uploads,
    checks: Arc<Semaphore>,
    rollout_timeout: Duration,
}

impl Control {
    pub async fn new(parts: ControlParts) -> Result<Self, ControlError> {
        let uploads = Uploads::open(parts.uploads_dir, parts.bundle_policy.bundle_bytes_max).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                store: parts.store,
                announcements: parts.announcements,
                identity: parts.identity,
                limits: parts.limits,
                bundle_policy: parts.bundle_policy,
                uploads,
                checks: Arc::new(Semaphore::new(CHECKS_MAX)),
                rollout_timeout: parts.rollout_timeout,
            }),
        })
    }

    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    pub fn uploads(&self) -> &Uploads {
        &self.inner.uploads
    }

    pub fn rollout_timeout(&self) -> Duration {
        self.inner.rollout_timeout
    }
}
