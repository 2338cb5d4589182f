//! Putting this node's verified copies in the place of stored bundles that somebody found damaged or missing.

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use typecase_cluster::Announcements;
use typecase_model::Topic;
use typecase_store::{Store, StoreError};

use super::local::LocalReleases;

/// How often the damaged bundles are listed without an announcement.
const TIMER: Duration = Duration::from_secs(15);

/// Heals for as long as the node runs.
pub async fn heal_forever(store: Store, local: LocalReleases, announcements: Announcements) {
    let mut heard = announcements.subscribe();
    let mut timer = tokio::time::interval(TIMER);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            topic = heard.next() => if !matches!(topic, Topic::Bundles | Topic::All) { continue },
        }
        if let Err(error) = heal(&store, &local).await {
            tracing::debug!("damaged bundles are looked at again soon: {error}");
        }
    }
}

async fn heal(store: &Store, local: &LocalReleases) -> Result<(), StoreError> {
    for digest in store.damaged_bundles().await? {
        let Some(copy) = local.bundle(digest) else { continue };
        match store.heal_bundle(digest, &copy).await {
            Ok(()) => tracing::info!(bundle.digest = %digest, "a damaged bundle was put back"),
            Err(StoreError::Corrupt { .. }) => {
                tracing::warn!(bundle.digest = %digest, "this node's copy of the bundle is damaged too");
                local.remove(digest);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
