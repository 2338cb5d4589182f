//! The checks of what a cluster shares: its database, Redis and its storage, seen from this machine.

use std::time::{Duration, Instant};

use rustls::crypto::ring;
use typecase_cluster::Announcements;
use typecase_store::{DatabaseReport, StorageLocation, examine_database, examine_storage};

use super::{Finding, State};
use crate::cli::text;
use crate::config::ClusterConfig;

/// Longer than a node waits before it calls Redis unreachable.
const REDIS_TIMEOUT: Duration = Duration::from_secs(4);
const REDIS_POLL: Duration = Duration::from_millis(20);

/// A node holds up to eight connections; with less room than this the next node may find none.
const CONNECTIONS_FREE_MIN: i64 = 16;

/// Nothing depends on clocks, but the logs of nodes whose clocks differ more cannot be read side by side.
const CLOCK_SKEW_MS_MAX: i64 = 2_000;

pub fn check(cluster: &ClusterConfig) -> Vec<Finding> {
    let _ = ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return vec![Finding::new("cluster", State::Bad, format!("cannot be checked: {error}"))];
        }
    };
    let findings = runtime.block_on(async {
        let mut findings = Vec::new();
        let known = match examine_database(&cluster.database).await {
            Ok(report) => {
                findings.extend(database(cluster, &report));
                report.cluster
            }
            Err(error) => {
                let detail = format!("{:?}: {error}; set cluster.database", cluster.database);
                findings.push(Finding::new("database", State::Bad, detail));
                None
            }
        };
        findings.push(redis(cluster).await);
        findings.push(storage(&cluster.storage, known.as_deref()).await);
        findings
    });
    // A storage that hangs must not keep the command from ending.
    runtime.shutdown_background();
    findings
}

fn database(cluster: &ClusterConfig, report: &DatabaseReport) -> Vec<Finding> {
    let DatabaseReport { version, read_only, connections, connections_max, now_unix_ms, .. } = report;
    let shown = format!("{:?} runs {version}", cluster.database);
    let free = connections_max - connections;
    let (state, detail) = match () {
        () if *read_only => {
            (State::Bad, format!("{shown}, but is read-only: point cluster.database at the primary"))
        }
        () if free < CONNECTIONS_FREE_MIN => (
            State::Warning,
            format!(
                "{shown}; {connections} of {connections_max} connections are taken: raise max_connections (8 a node)"
            ),
        ),
        () => (State::Good, format!("{shown}, {connections} of {connections_max} connections are taken")),
    };
    let skew_ms = text::now_unix_ms() - now_unix_ms;
    let clock = match skew_ms.abs() > CLOCK_SKEW_MS_MAX {
        true => (
            State::Warning,
            format!(
                "differs from the database's by {skew_ms} ms: nothing depends on it, but logs will not line up"
            ),
        ),
        false => (State::Good, format!("within {CLOCK_SKEW_MS_MAX} ms of the database's")),
    };
    vec![Finding::new("database", state, detail), Finding::new("clock", clock.0, clock.1)]
}

async fn redis(cluster: &ClusterConfig) -> Finding {
    let address = cluster.redis.address().to_owned();
    // The very client that a node has, on a channel that nobody else is on.
    let announcements = Announcements::redis(cluster.redis.clone(), "doctor");
    let deadline = Instant::now() + REDIS_TIMEOUT;
    let fault = loop {
        match announcements.health().and_then(|health| health.fault) {
            None => break None,
            Some(fault) if Instant::now() >= deadline => break Some(fault),
            Some(_) => tokio::time::sleep(REDIS_POLL).await,
        }
    };
    announcements.close().await;
    match fault {
        None => Finding::new("redis", State::Good, format!("{address} can be used")),
        Some(fault) => Finding::new("redis", State::Bad, fault),
    }
}

async fn storage(location: &StorageLocation, cluster: Option<&str>) -> Finding {
    let marker = match examine_storage(location).await {
        Ok(marker) => marker,
        Err(error) => return Finding::new("storage", State::Bad, format!("{location}: {error}")),
    };
    let (state, detail) = match (marker.as_deref(), cluster) {
        (Some(marker), Some(cluster)) if marker == cluster => (State::Good, "is the cluster's"),
        (Some(_), _) => (State::Bad, "belongs to another cluster: give this one a place of its own"),
        (None, Some(_)) => (State::Warning, "lacks the cluster's marker: is it mounted?"),
        (None, None) => (State::Good, "is empty; the first node marks it as the cluster's"),
    };
    Finding::new("storage", state, format!("{location} {detail}"))
}
