//! Apps and their releases: the only way by which anything gets loaded, on the node that took the publish
//! as on every other.
//!
//! One pass over one app: read what should run; prepare the candidate and write a receipt; settle the
//! rollout; make the active release serve and say so. Passes over one app never overlap; passes over
//! different apps do, so that a slow compilation holds up nobody else.

mod config;
mod limits;

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use typecase_cluster::Announcements;
use typecase_model::{AppName, Generation, NodeId, Receipt, ReceiptState, Release, ReleaseNumber, Topic};
use typecase_store::{AppGenerations, Desired, Store, StoreError};

use super::prepare::{NotPrepared, Preparer};
use crate::control::Control;
use crate::ingress::{AppRoute, Ingress, LiveRelease, RouteTable};

/// Releases loaded at once at the start; more threads would only leave more holes in memory.
const LOADS_MAX: usize = 8;

/// How often a pass that waits looks whether its app has moved on.
const MOVED_ON_POLL: Duration = Duration::from_millis(500);

/// How often every app's generation is read again, announcements or not.
const TIMER: Duration = Duration::from_secs(2);

/// How long the timer leaves an active release alone that could not be loaded; an announcement does not wait.
const RELOAD_PAUSE: Duration = Duration::from_secs(30);

/// The apps that this node runs, and the task that keeps them right.
#[derive(Clone)]
pub struct Apps {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    control: Control,
    announcements: Announcements,
    preparer: Preparer,
    ingress: Arc<Ingress>,
    node: NodeId,
    state: Mutex<State>,
    /// A change of the settings may concern every app at once.
    reloads: Semaphore,
}

#[derive(Default)]
struct State {
    apps: HashMap<AppName, Local>,
    /// Apps with a pass under way, and those that were announced meanwhile.
    running: HashSet<AppName>,
    again: HashSet<AppName>,
    /// Apps whose config is being looked at beside a pass; true: look once more.
    configuring: HashMap<AppName, bool>,
}

/// What this node has of one app.
#[derive(Default)]
struct Local {
    serving: Option<Arc<AppRoute>>,
    /// The candidate of a rollout, named by the generation it began with.
    candidate: Option<(Generation, Arc<LiveRelease>)>,
    /// The rollout that this node has reported on.
    reported: Option<Generation>,
    /// Nothing is left to do at this generation.
    settled: Option<Generation>,
    /// The active release could not be loaded at this generation, and when that was tried.
    not_loaded: Option<(Generation, Instant)>,
    /// The receipt for what serves, until it is written.
    untold: Option<Receipt>,
}

impl Apps {
    pub fn new(
        store: Store,
        control: Control,
        announcements: Announcements,
        preparer: Preparer,
        ingress: Arc<Ingress>,
        node: NodeId,
    ) -> Self {
        let state = Mutex::default();
        let reloads = Semaphore::new(LOADS_MAX);
        let inner = Inner { store, control, announcements, preparer, ingress, node, state, reloads };
        Self { inner: Arc::new(inner) }
    }

    /// Loads every active release, before the node reports ready. A release that cannot be loaded is
    /// reported and left out; the others serve.
    pub async fn load_all(&self) -> Result<(), StoreError> {
        self.inner.preparer.configs().read_all().await?;
        let desired = self.inner.store.desired().await?;
        let mut loads = tokio::task::JoinSet::new();
        let turns = Arc::new(Semaphore::new(LOADS_MAX));
        for Desired { app, active, .. } in desired {
            let Some(release) = active else { continue };
            let (preparer, turns) = (self.inner.preparer.clone(), turns.clone());
            loads.spawn(async move {
                let _turn = turns.acquire().await;
                (preparer.load(&release).await, release, app.generation)
            });
        }
        while let Some(loaded) = loads.join_next().await {
            match loaded {
                Ok((Ok(live), release, _)) => self.inner.remember(&release.app, live),
                Ok((Err(error), release, generation)) => {
                    self.inner.remember_failure(&release, generation, &error);
                }
                Err(error) => tracing::error!("loading a release was interrupted: {error}"),
            }
        }
        self.inner.publish_routes();
        Ok(())
    }

    /// Follows announcements and the timer until the node ends.
    pub async fn run(self) {
        let mut announcements = self.inner.announcements.subscribe();
        let mut timer = tokio::time::interval(TIMER);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let settings = self.inner.preparer.settings();
        let (mut settings_changes, mut limits) = (settings.changes(), settings.load().effective.limits);
        loop {
            let topic = tokio::select! {
                topic = announcements.next() => topic,
                _ = timer.tick() => Topic::All,
                Ok(()) = settings_changes.changed() => {
                    let limits_now = settings.load().effective.limits;
                    if std::mem::replace(&mut limits, limits_now) == limits_now {
                        continue;
                    }
                    self.inner.unsettle();
                    Topic::All
                }
            };
            match topic {
                Topic::App(app) => self.look_at(app),
                // Other tasks listen for these.
                Topic::Settings | Topic::Nodes | Topic::Bundles => {}
                Topic::All => {
                    if let Err(error) = self.look_at_all().await {
                        tracing::warn!("the apps' generations cannot be read, trying again: {error}");
                    }
                }
            }
        }
    }

    async fn look_at_all(&self) -> Result<(), StoreError> {
        for AppGenerations { name, app, config } in self.inner.store.generations().await? {
            let is_due = self.inner.state().apps.get(&name).is_none_or(|local| local.is_due(app));
            if is_due || self.inner.preparer.configs().is_due(&name, config) {
                self.look_at(name);
            }
        }
        Ok(())
    }

    /// Starts a pass over one app, or has the one under way look again.
    fn look_at(&self, app: AppName) {
        let mut state = self.inner.state();
        if !state.running.insert(app.clone()) {
            state.again.insert(app.clone());
            drop(state);
            self.inner.look_at_config(app);
            return;
        }
        drop(state);
        let inner = self.inner.clone();
        tokio::spawn(async move {
            loop {
                // A fault in one pass must not be the app's last.
                match AssertUnwindSafe(inner.converge(&app)).catch_unwind().await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(app.name = %app, "not converged, trying again: {error}");
                    }
                    Err(_) => tracing::error!(app.name = %app, "a pass panicked; trying again"),
                }
                let mut state = inner.state();
                if !state.again.remove(&app) {
                    state.running.remove(&app);
                    return;
                }
            }
        });
    }
}

impl Local {
    fn is_unavailable(&self) -> bool {
        self.serving.is_none() && self.not_loaded.is_some()
    }

    /// Whether the timer should have a look at the app.
    fn is_due(&self, generation: Generation) -> bool {
        let paused = |(at, since): (Generation, Instant)| at == generation && since.elapsed() < RELOAD_PAUSE;
        self.settled != Some(generation) && !self.not_loaded.is_some_and(paused)
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One app's passes, until nothing changes any more.
    async fn converge(&self, app: &AppName) -> Result<(), StoreError> {
        loop {
            let Some(desired) = self.store.desired_of(app).await? else {
                return Ok(());
            };
            let generation = desired.app.generation;
            self.preparer.configs().follow(&desired.app).await?;
            if let Some(unreadable) = &desired.unreadable {
                tracing::error!(app.name = %app, "a release cannot be read here: {unreadable}");
                return self.give_up_unreadable(&desired, unreadable).await;
            }
            let serves = self.serve_active(app, desired.active.as_ref(), generation).await?;
            self.tell_config(&desired.app).await?;
            let Some(candidate) = desired.candidate else {
                // What could not be loaded may be later: storage comes back, or someone publishes it again.
                if serves {
                    self.state().apps.entry(app.clone()).or_default().settled = Some(generation);
                }
                return Ok(());
            };
            tokio::select! {
                prepared = self.prepare_candidate(&candidate, generation) => prepared?,
                // Withdrawn, or over its time: what is left of the preparation is nobody's concern.
                () = self.moved_on(app, generation) => continue,
            }
            match self.control.settle(app).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    tracing::warn!(app.name = %app, "the rollout is not settled, trying again: {error}");
                    return Ok(());
                }
            }
        }
    }

    /// Ends the rollout of a candidate that this node is too old for; leaves everything else alone.
    async fn give_up_unreadable(&self, desired: &Desired, unreadable: &str) -> Result<(), StoreError> {
        let app = &desired.app;
        if let (Some(number), None) = (app.candidate, &desired.candidate)
            && self.store.abort(&app.name, number, app.generation, unreadable).await?
        {
            self.announcements.announce(Topic::App(app.name.clone()));
        }
        Ok(())
    }

    /// Makes the active release serve, if another one does. False when it cannot be loaded.
    async fn serve_active(
        &self,
        app: &AppName,
        active: Option<&Release>,
        generation: Generation,
    ) -> Result<bool, StoreError> {
        let (serving, shown, prepared) = {
            let mut state = self.state();
            let local = state.apps.entry(app.clone()).or_default();
            let shown = local.serving.is_some() || local.not_loaded.is_some();
            let serving = local.serving.as_ref().map(|route| route.release.clone());
            let prepared = match (active, local.candidate.take()) {
                (Some(release), Some((_, live))) if live.number == release.number => Some(live),
                // Kept for the rollout that it belongs to.
                (_, other) => {
                    local.candidate = other.filter(|(began, _)| *began == generation);
                    None
                }
            };
            (serving, shown, prepared)
        };
        let Some(release) = active else {
            if shown {
                let mut state = self.state();
                let local = state.apps.entry(app.clone()).or_default();
                (local.serving, local.not_loaded) = (None, None);
                drop(state);
                self.publish_routes();
                tracing::info!(app.name = %app, "app withdrawn");
            }
            return Ok(true);
        };
        if let Some(serving) = serving.as_ref().filter(|serving| serving.number == release.number) {
            self.tell_active(app, generation).await?;
            return Ok(self.take_limits_over(serving, release).await);
        }
        let began = Instant::now();
        let loaded = match (prepared, serving) {
            (Some(live), _) => Ok(live),
            // The others went on without this node: what serves here gives way to what is healthy here.
            (None, Some(_)) => self.preparer.load_and_check(release).await,
            (None, None) => self.preparer.load(release).await,
        };
        let live = match loaded {
            Ok(live) => live,
            Err(error) => {
                self.remember_failure(release, generation, &error);
                self.publish_routes();
                return Ok(false);
            }
        };
        self.remember(app, live);
        self.publish_routes();
        tracing::info!(app.name = %app, release.number = %release.number, "serving");
        let receipt = self.receipt(app, release.number, ReceiptState::Active, None, began);
        self.state().apps.entry(app.clone()).or_default().untold = Some(receipt);
        self.tell_active(app, generation).await?;
        Ok(true)
    }

    /// Writes the receipt for what serves now, unless that is done; a later pass tries again.
    async fn tell_active(&self, app: &AppName, generation: Generation) -> Result<(), StoreError> {
        let Some(receipt) = self.state().apps.get(app).and_then(|local| local.untold.clone()) else {
            return Ok(());
        };
        self.store.put_receipt(&receipt, generation).await?;
        self.state().apps.entry(app.clone()).or_default().untold = None;
        self.announcements.announce(Topic::App(app.clone()));
        Ok(())
    }

    /// Resolves when the app is at another generation; ends a rollout that is over its time.
    async fn moved_on(&self, app: &AppName, generation: Generation) {
        loop {
            tokio::time::sleep(MOVED_ON_POLL).await;
            if let Err(error) = self.control.settle(app).await {
                tracing::debug!(app.name = %app, "the rollout is not settled, trying again: {error}");
            }
            if self.store.app(app).await.is_ok_and(|app| app.generation != generation) {
                return;
            }
        }
    }

    /// Prepares the candidate and reports, once for each rollout.
    async fn prepare_candidate(&self, candidate: &Release, generation: Generation) -> Result<(), StoreError> {
        let app = &candidate.app;
        if self.state().apps.get(app).is_some_and(|local| local.reported == Some(generation)) {
            return Ok(());
        }
        let began = Instant::now();
        let receipt = match self.preparer.load_and_check(candidate).await {
            Ok(live) => {
                self.state().apps.entry(app.clone()).or_default().candidate = Some((generation, live));
                self.receipt(app, candidate.number, ReceiptState::Prepared, None, began)
            }
            Err(error) => {
                log_failure(candidate, &error);
                self.receipt(app, candidate.number, ReceiptState::Failed, Some(error.to_string()), began)
            }
        };
        if self.store.put_receipt(&receipt, generation).await? {
            self.state().apps.entry(app.clone()).or_default().reported = Some(generation);
        }
        Ok(())
    }

    fn receipt(
        &self,
        app: &AppName,
        release: ReleaseNumber,
        state: ReceiptState,
        detail: Option<String>,
        began: Instant,
    ) -> Receipt {
        Receipt {
            name: String::new(),
            app: app.clone(),
            release,
            node: self.node.clone(),
            state,
            detail,
            duration_ms: began.elapsed().as_millis() as u64,
            // The store writes the database's time.
            at_unix_ms: 0,
        }
    }

    /// Puts a release in the app's place; it serves when the routes are published.
    fn remember(&self, app: &AppName, live: Arc<LiveRelease>) {
        let mut state = self.state();
        let local = state.apps.entry(app.clone()).or_default();
        local.serving = Some(Arc::new(AppRoute::new(live, self.ingress.metrics.of(app))));
        local.not_loaded = None;
    }

    /// Notes that the active release cannot be loaded; what served before goes on serving.
    fn remember_failure(&self, release: &Release, generation: Generation, error: &NotPrepared) {
        tracing::error!(
            app.name = %release.app, release.number = %release.number,
            "the active release cannot be loaded: {error}"
        );
        let mut state = self.state();
        state.apps.entry(release.app.clone()).or_default().not_loaded = Some((generation, Instant::now()));
    }

    /// Swaps the route table: requests that come from now on see the new state, whole.
    fn publish_routes(&self) {
        let state = self.state();
        let unavailable = state
            .apps
            .iter()
            .filter(|(_, local)| local.is_unavailable())
            .map(|(app, _)| app.clone())
            .collect();
        let table =
            RouteTable::of(state.apps.values().filter_map(|local| local.serving.clone()), unavailable);
        self.ingress.routes.store(Arc::new(table));
    }
}

fn log_failure(candidate: &Release, error: &NotPrepared) {
    tracing::warn!(
        app.name = %candidate.app, release.number = %candidate.number,
        passing = error.may_pass(), "the candidate cannot be prepared: {error}"
    );
}
