//! Removing what no release needs any more: bundles of failed uploads, and this node's copies of releases
//! that are too old to be rolled back to in a hurry. Everything removed here can be made again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use typecase_model::{Digest, NodeId};
use typecase_runtime::Runtime;
use typecase_store::{Store, StoreError};

use super::local::LocalReleases;
use crate::settings::LiveSettings;

const EVERY: Duration = Duration::from_secs(600);

/// Releases of an app that stay unpacked and compiled here, besides the active one, the one that was active before it,
/// and the candidate.
const RELEASES_KEPT: u32 = 5;

/// A copy younger than this may belong to a rollout that has just begun.
const YOUNG: Duration = Duration::from_secs(300);

/// A bundle without a release is kept this long: its publish may still be under way.
const BUNDLE_UNUSED_MS: i64 = 24 * 3_600 * 1_000;

/// Collects from time to time, for as long as the node runs.
pub async fn collect_forever(
    store: Store,
    node: NodeId,
    local: LocalReleases,
    runtime: Arc<Runtime>,
    settings: Arc<LiveSettings>,
) {
    let mut timer = tokio::time::interval(EVERY);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let retention = settings.load().effective.retention;
        if let Err(error) = store.collect(&node, &retention, BUNDLE_UNUSED_MS).await {
            tracing::warn!("unused bundles are not collected: {error}");
        }
        match kept(&store).await {
            Ok(kept) => {
                let (local, runtime) = (local.clone(), runtime.clone());
                let _ = tokio::task::spawn_blocking(move || collect_local(&local, &runtime, &kept)).await;
            }
            Err(error) => tracing::warn!("local copies are not collected: {error}"),
        }
    }
}

/// Digests of all bundles whose local copy is worth keeping.
async fn kept(store: &Store) -> Result<HashSet<Digest>, StoreError> {
    let mut kept = HashSet::new();
    for desired in store.desired().await? {
        kept.extend(desired.active.iter().chain(&desired.candidate).map(|release| release.digest));
        let app = &desired.app.name;
        kept.extend(store.releases(app, RELEASES_KEPT).await?.iter().map(|release| release.digest));
        // However many have failed since: it is the one that a rollback makes active.
        if let Some(previous) = store.previously_active(app).await? {
            kept.insert(store.release(app, previous).await?.digest);
        }
    }
    Ok(kept)
}

fn collect_local(local: &LocalReleases, runtime: &Runtime, kept: &HashSet<Digest>) {
    let copies = match local.older_than(YOUNG) {
        Ok(copies) => copies,
        Err(error) => return tracing::warn!("local copies cannot be listed: {error}"),
    };
    // Two bundles may hold the same component.
    let needed: HashSet<Digest> = copies
        .iter()
        .filter(|(bundle, _)| kept.contains(bundle))
        .filter_map(|(_, component)| *component)
        .collect();
    for (bundle, component) in copies {
        if kept.contains(&bundle) {
            continue;
        }
        local.remove(bundle);
        if let Some(component) = component.filter(|component| !needed.contains(component)) {
            runtime.forget(component);
        }
    }
}
