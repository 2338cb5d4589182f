//! This node's own row: registered at the start, kept alive by heartbeats.

use std::time::Duration;

use typecase_model::NodeId;
use typecase_store::{Store, StoreError};

/// Well below the age at which a node counts as lost.
const HEARTBEAT: Duration = Duration::from_millis(1_500);

/// What a node says about itself.
#[derive(Debug, Clone)]
pub struct Registration {
    pub id: NodeId,
    pub name: String,
    pub admin: String,
}

impl Registration {
    pub async fn register(&self, store: &Store) -> Result<(), StoreError> {
        store.register_node(&self.id, &self.name, &self.admin, env!("CARGO_PKG_VERSION")).await
    }
}

/// Sends heartbeats until the node ends.
pub async fn heartbeat_forever(store: Store, registration: Registration) {
    let mut timer = tokio::time::interval(HEARTBEAT);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let beat = match store.heartbeat(&registration.id).await {
            // Forgotten while the database could not be reached: introduce ourselves again.
            Ok(false) => registration.register(&store).await,
            other => other.map(|_| ()),
        };
        if let Err(error) = beat {
            tracing::warn!("the heartbeat failed: {error}");
        }
    }
}
