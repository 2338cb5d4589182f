//! This node's own row: registered at the start, kept alive by heartbeats that say what the node suffers from
//! and bring back what the operator wants of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use typecase_cluster::Announcements;
use typecase_model::{NodeId, Topic};
use typecase_store::{Store, StoreError};

use crate::lifecycle::Lifecycle;

/// Well below the age at which a node counts as lost.
const HEARTBEAT: Duration = Duration::from_millis(1_500);

/// How often the shared storage is looked at. It may hang, which costs one of its threads meanwhile.
const STORAGE_LOOK: Duration = Duration::from_secs(10);

/// What a node says about itself.
#[derive(Debug, Clone)]
pub struct Registration {
    pub id: NodeId,
    pub name: String,
    pub admin: String,
    pub apps: String,
}

impl Registration {
    pub async fn register(&self, store: &Store) -> Result<(), StoreError> {
        let version = env!("CARGO_PKG_VERSION");
        store.register_node(&self.id, &self.name, &self.admin, &self.apps, version).await
    }
}

/// The task of this node's row.
pub struct Heartbeat {
    pub store: Store,
    pub announcements: Announcements,
    pub lifecycle: Arc<Lifecycle>,
    pub registration: Registration,
    pub storage: StorageWatch,
}

impl Heartbeat {
    /// Introduces the node, and learns whether the operator wants it left alone, before it could be ready.
    pub async fn begin(&self) -> Result<(), StoreError> {
        self.registration.register(&self.store).await?;
        self.beat().await
    }

    /// Sends heartbeats until the node ends.
    pub async fn run(self) {
        let mut announcements = self.announcements.subscribe();
        let mut timer = tokio::time::interval(HEARTBEAT);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                _ = timer.tick() => {}
                topic = announcements.next() => if !matches!(topic, Topic::Nodes | Topic::All) { continue },
            }
            let beat = self.beat().await;
            // Once for an outage: the store tells of the database's return.
            if let Err(error) = &beat
                && !failing
            {
                tracing::warn!("the heartbeat failed: {error}");
            }
            failing = beat.is_err();
        }
    }

    async fn beat(&self) -> Result<(), StoreError> {
        let problems = self.problems();
        match self.store.heartbeat(&self.registration.id, &problems).await? {
            Some(wanted) => {
                if self.lifecycle.set_aside(wanted.draining) {
                    tracing::info!(draining = wanted.draining, "the operator wants this node so");
                }
                Ok(())
            }
            // Forgotten while the database could not be reached: introduce ourselves again.
            None => self.registration.register(&self.store).await,
        }
    }

    fn problems(&self) -> String {
        let redis = self.announcements.health().and_then(|health| health.fault);
        let storage = self.storage.fault();
        redis.into_iter().chain(storage).collect::<Vec<_>>().join("; ")
    }
}

/// Knows whether the shared storage can be used, without asking it: it may hang.
#[derive(Debug, Clone, Default)]
pub struct StorageWatch(Arc<Mutex<Option<String>>>);

impl StorageWatch {
    /// Looks once; the error is for operators.
    pub async fn look(&self, store: &Store) -> Result<(), StoreError> {
        let looked = store.check_storage().await;
        let fault = looked.as_ref().err().map(ToString::to_string);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_some() != fault.is_some() {
            match &fault {
                Some(fault) => tracing::warn!("the bundle storage cannot be used: {fault}"),
                None => tracing::info!("the bundle storage can be used"),
            }
        }
        *known = fault;
        looked
    }

    pub async fn run(self, store: Store) {
        let mut timer = tokio::time::interval(STORAGE_LOOK);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            timer.tick().await;
            let _ = self.look(&store).await;
        }
    }

    fn fault(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
