//! The control plane's use cases: what people and programs may do to the cluster, whatever face they use.
//!
//! No HTTP types and no SQL. Nothing here loads an app: a use case changes the database and announces it,
//! reconcile does the rest, on this node as on every other.

pub mod app_config;
pub mod apps;
pub mod check;
pub mod error;
pub mod identity;
pub mod logs;
pub mod nodes;
pub mod publish;
pub mod rollout;
pub mod settings;
pub mod upload;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use typecase_bundle::BundlePolicy;
use typecase_cluster::Announcements;
use typecase_model::NodeId;
use typecase_runtime::Compiler;
use typecase_store::Store;

pub use error::{Class, ControlError};
pub use identity::Identity;
use upload::{Upload, Uploads};

use crate::logs::AppLogs;
use crate::peers::Peers;
use crate::settings::LiveSettings;

/// Bundles that are judged at once: each may hold a whole component in memory and keep a core busy.
const CHECKS_MAX: usize = 2;

/// What the control plane is made of; all of it comes from the composition root.
pub struct ControlParts {
    /// This node.
    pub node: NodeId,
    pub node_name: String,
    pub logs: AppLogs,
    pub peers: Peers,
    pub store: Store,
    pub announcements: Announcements,
    /// `APP.base_domain` leads to APP.
    pub base_domain: Option<String>,
    /// Looks at components.
    pub compiler: Arc<Compiler>,
    pub identity: Identity,
    /// Limits of apps, of uploads and of rollouts, among others.
    pub settings: Arc<LiveSettings>,
    /// A folder on the node's own disk for uploads; whatever a crash left there is removed.
    pub uploads_dir: PathBuf,
}

/// The use cases; clones share everything.
#[derive(Clone)]
pub struct Control {
    inner: Arc<Inner>,
}

struct Inner {
    node: NodeId,
    node_name: String,
    logs: AppLogs,
    peers: Peers,
    store: Store,
    announcements: Announcements,
    base_domain: Option<String>,
    compiler: Arc<Compiler>,
    identity: Identity,
    settings: Arc<LiveSettings>,
    uploads: Uploads,
    checks: Arc<Semaphore>,
}

impl Control {
    pub async fn new(parts: ControlParts) -> Result<Self, ControlError> {
        let uploads = Uploads::open(parts.uploads_dir).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                node: parts.node,
                node_name: parts.node_name,
                logs: parts.logs,
                peers: parts.peers,
                store: parts.store,
                announcements: parts.announcements,
                base_domain: parts.base_domain,
                compiler: parts.compiler,
                identity: parts.identity,
                settings: parts.settings,
                uploads,
                checks: Arc::new(Semaphore::new(CHECKS_MAX)),
            }),
        })
    }

    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// Begins an upload. `announced` is the size its sender claims, refused before a byte of it is read.
    pub async fn begin_upload(&self, announced: Option<u64>) -> Result<Upload, ControlError> {
        self.inner.uploads.begin(announced, self.bundle_policy().bundle_bytes_max).await
    }

    pub fn rollout_timeout(&self) -> Duration {
        self.inner.settings.load().effective.rollout_timeout
    }

    fn bundle_policy(&self) -> BundlePolicy {
        let bundle_bytes_max = self.inner.settings.load().effective.bundle_bytes_max;
        BundlePolicy { bundle_bytes_max, ..BundlePolicy::default() }
    }
}
