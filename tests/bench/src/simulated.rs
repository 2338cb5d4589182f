//! Nodes without a data plane: what the control planes of many nodes ask of one database and one Redis.
//!
//! The server is a program, so its reconcile tasks and its rule for rollouts cannot be called from here. All that
//! is below them can: each simulated node has a `Store` and `Announcements` of its own, with the product's
//! connections, deadlines, SQL and messages. The loops above make the calls of `host/src/reconcile` (`apps`, `nodes`,
//! `settings`, `heal`) and of `host/src/control` (`publish`, `rollout`) in the same order and rhythm. What a node does
//! besides is left out: no bundle is fetched, preparing takes no time, and nothing is collected. Whether the loops
//! still ask what the product asks is measured by `cluster_scale`, which compares three of these nodes with three
//! real ones.

mod apps;
mod node;
mod publisher;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use futures_util::stream::{self, StreamExt as _};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use typecase_cluster::RedisConfig;
use typecase_model::{AppName, ReleaseNumber};
use typecase_store::{ClusterSecret, DatabaseUrl, StorageLocation};

use crate::cluster::Services;
use node::SimulatedNode;
pub use publisher::app_name;

/// Nodes that are started at once, as by somebody who starts many machines in turn.
const STARTS_AT_ONCE: usize = 8;
/// Each node has some ten sockets; 1,024 files, which are usual, are too few for a hundred of them.
const OPEN_FILES: u64 = 65_536;
/// How long all nodes may take to report that they serve a release.
const TOLD_TIMEOUT: Duration = Duration::from_secs(120);

/// What every node is started with.
#[derive(Debug, Clone)]
struct Plan {
    database: DatabaseUrl,
    redis: RedisConfig,
    storage: StorageLocation,
    secret: ClusterSecret,
    events: mpsc::UnboundedSender<Event>,
}

/// What a node notes for the one who measures.
#[derive(Debug)]
enum Event {
    /// It has won the activation of a release.
    Activated(ReleaseNumber, Instant),
    /// It would serve the release from now on.
    Serves(ReleaseNumber, Instant),
    /// Its receipt for that is in the database.
    Told(ReleaseNumber, Instant),
    /// A call failed or took too long; the node tries again, as the product does.
    Failed(String),
}

/// Many nodes in this process, on threads of their own.
#[derive(Debug)]
pub struct SimulatedCluster {
    nodes: Vec<SimulatedNode>,
    events: mpsc::UnboundedReceiver<Event>,
    failures: Failures,
    /// None only while it is dropped.
    runtime: Option<Runtime>,
}

/// Calls that failed since somebody asked last.
#[derive(Debug, Default)]
pub struct Failures {
    pub count: u64,
    pub first: Option<String>,
}

/// One publish, in times since its release was recorded.
#[derive(Debug, Clone, Copy)]
pub struct Rollout {
    /// Every node had prepared the release, and one had activated it.
    pub activated: Duration,
    /// The last node served it.
    pub served: Duration,
    /// The last node's receipt was written.
    pub told: Duration,
}

impl SimulatedCluster {
    /// Publishes that many apps, then starts that many nodes, a few at once, each of which looks at all of them.
    pub async fn start(services: &Services, nodes: usize, apps: usize) -> Result<Self> {
        raise_open_files();
        let (sender, events) = mpsc::unbounded_channel();
        let text = |error: String| anyhow!(error);
        let plan = Plan {
            database: services.database_url().parse().map_err(text)?,
            redis: services.redis.url().parse().map_err(|error| anyhow!("{error}"))?,
            storage: StorageLocation::Folder(services.storage.clone()),
            secret: ClusterSecret::new(services.secret).map_err(text)?,
            events: sender,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        // The first one alone: it makes the tables, and the apps that the others then find.
        let founder = plan.clone();
        let founding = on_a_thread(&runtime, async move || {
            let store = founder.store().await?;
            publisher::found(&store, apps).await?;
            store.close().await;
            Ok(())
        });
        founding.await.context("publishing the apps")?;
        let mut started: Vec<SimulatedNode> = stream::iter(0..nodes)
            .map(|number| {
                let plan = plan.clone();
                on_a_thread(&runtime, async move || SimulatedNode::start(plan, number).await)
            })
            .buffer_unordered(STARTS_AT_ONCE)
            .collect::<Vec<Result<_>>>()
            .await
            .into_iter()
            .collect::<Result<_>>()
            .context("starting the nodes")?;
        started.sort_unstable_by_key(SimulatedNode::number);
        let failures = Failures::default();
        let mut cluster = Self { nodes: started, events, failures, runtime: Some(runtime) };
        cluster.take_notes();
        Ok(cluster)
    }

    /// Publishes a release of the app through one of the nodes, and waits until all have reported that they serve it.
    pub async fn publish(&mut self, app: &AppName, by: usize) -> Result<Rollout> {
        self.take_notes();
        let runtime = self.runtime.as_ref().context("the nodes are stopped")?;
        let publisher = self.nodes[by % self.nodes.len()].publisher();
        let app = app.clone();
        let publishing = on_a_thread(runtime, async move || publisher.publish(&app).await);
        let (number, recorded) = publishing.await.context("publishing")?;
        let (mut activated, mut served, mut told) = (None, Vec::new(), Vec::new());
        let deadline = tokio::time::Instant::now() + TOLD_TIMEOUT;
        while told.len() < self.nodes.len() {
            let Ok(event) = tokio::time::timeout_at(deadline, self.events.recv()).await else {
                let (told, nodes) = (told.len(), self.nodes.len());
                bail!(
                    "{told} of {nodes} nodes reported release {number} within {} s",
                    TOLD_TIMEOUT.as_secs()
                );
            };
            match event.context("the nodes have ended")? {
                Event::Activated(release, at) if release == number => activated = Some(at),
                Event::Serves(release, at) if release == number => served.push(at),
                Event::Told(release, at) if release == number => told.push(at),
                Event::Failed(failure) => self.failures.add(failure),
                // What is left of an earlier release.
                Event::Activated(..) | Event::Serves(..) | Event::Told(..) => {}
            }
        }
        let since =
            |at: Option<Instant>| at.map_or(Duration::ZERO, |at| at.saturating_duration_since(recorded));
        // The call that activated it may have been cut off before it heard that it did.
        let activated = activated.or(served.iter().min().copied());
        Ok(Rollout {
            activated: since(activated),
            served: since(served.into_iter().max()),
            told: since(told.into_iter().max()),
        })
    }

    /// The calls that failed since this was asked last.
    pub fn failures(&mut self) -> Failures {
        self.take_notes();
        std::mem::take(&mut self.failures)
    }

    /// Looks at what the nodes have noted in the meantime.
    fn take_notes(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            if let Event::Failed(failure) = event {
                self.failures.add(failure);
            }
        }
    }
}

impl Failures {
    fn add(&mut self, failure: String) {
        self.count += 1;
        self.first.get_or_insert(failure);
    }
}

impl Drop for SimulatedCluster {
    fn drop(&mut self) {
        self.nodes.clear();
        // Waiting is not possible within another runtime, and nothing is left to wait for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs work in the runtime whose futures cannot move between threads; the tasks that it spawns can.
async fn on_a_thread<T: Send + 'static, F: Future<Output = Result<T>>>(
    runtime: &Runtime,
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<T> {
    let handle = runtime.handle().clone();
    runtime.spawn_blocking(move || handle.block_on(work())).await?
}

/// Raises this process's limit of open files as far as it may; what it starts inherits that.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    if limit.current.is_some_and(|current| current < wanted) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
}
