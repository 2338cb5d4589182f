//! One node's apps, with nothing to load: after `host/src/reconcile/apps.rs` and the rule of
//! `host/src/control/rollout.rs`.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use typecase_cluster::Announcements;
use typecase_model::{
    AppName, Generation, NodeHealth, NodeId, Receipt, ReceiptState, Release, ReleaseNumber, Topic,
};
use typecase_store::{AppGenerations, Rollout, Store, StoreError};

use super::Event;
use super::node::note;

// The product's.
const TIMER: Duration = Duration::from_secs(2);
const MOVED_ON_POLL: Duration = Duration::from_millis(500);

/// Clones share everything.
#[derive(Debug, Clone)]
pub struct Apps(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    announcements: Announcements,
    node: NodeId,
    events: mpsc::UnboundedSender<Event>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    apps: HashMap<AppName, Local>,
    running: HashSet<AppName>,
    again: HashSet<AppName>,
    configuring: HashMap<AppName, bool>,
}

#[derive(Debug, Default)]
struct Local {
    serving: Option<ReleaseNumber>,
    reported: Option<Generation>,
    settled: Option<Generation>,
    untold: Option<Receipt>,
}

impl Apps {
    pub fn new(
        store: Store,
        announcements: Announcements,
        node: NodeId,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        Self(Arc::new(Inner { store, announcements, node, events, state: Mutex::default() }))
    }

    pub async fn load_all(&self) -> Result<(), StoreError> {
        self.0.store.app_configs().await?;
        for desired in self.0.store.desired().await? {
            let serving = desired.active.map(|release| release.number);
            let mut state = self.0.state();
            state.apps.insert(desired.app.name, Local { serving, ..Local::default() });
        }
        Ok(())
    }

    pub async fn run(self) {
        let mut announcements = self.0.announcements.subscribe();
        let mut timer = tokio::time::interval(TIMER);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let topic = tokio::select! {
                topic = announcements.next() => topic,
                _ = timer.tick() => Topic::All,
            };
            match topic {
                Topic::App(app) => self.look_at(app),
                Topic::Settings | Topic::Nodes | Topic::Bundles => {}
                Topic::All => note(self.look_at_all().await, &self.0.events),
            }
        }
    }

    /// Whether every app has had a pass that left nothing to do.
    pub fn are_settled(&self) -> bool {
        let state = self.0.state();
        state.running.is_empty() && state.apps.values().all(|local| local.settled.is_some())
    }

    async fn look_at_all(&self) -> Result<(), StoreError> {
        for AppGenerations { name, app, .. } in self.0.store.generations().await? {
            let is_due = self.0.state().apps.get(&name).is_none_or(|local| local.settled != Some(app));
            if is_due {
                self.look_at(name);
            }
        }
        Ok(())
    }

    fn look_at(&self, app: AppName) {
        let mut state = self.0.state();
        if !state.running.insert(app.clone()) {
            state.again.insert(app.clone());
            drop(state);
            self.0.look_at_config(app);
            return;
        }
        drop(state);
        let inner = self.0.clone();
        tokio::spawn(async move {
            loop {
                note(inner.converge(&app).await, &inner.events);
                let mut state = inner.state();
                if !state.again.remove(&app) {
                    state.running.remove(&app);
                    return;
                }
            }
        });
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, event: Event) {
        // The only error is that nobody measures any more.
        let _ = self.events.send(event);
    }

    async fn converge(&self, app: &AppName) -> Result<(), StoreError> {
        loop {
            let Some(desired) = self.store.desired_of(app).await? else {
                return Ok(());
            };
            let generation = desired.app.generation;
            self.serve_active(app, desired.active.as_ref(), generation).await?;
            let Some(candidate) = desired.candidate else {
                self.state().apps.entry(app.clone()).or_default().settled = Some(generation);
                return Ok(());
            };
            tokio::select! {
                prepared = self.prepare_candidate(&candidate, generation) => prepared?,
                () = self.moved_on(app, generation) => continue,
            }
            if !self.settle(app).await? {
                return Ok(());
            }
        }
    }

    async fn serve_active(
        &self,
        app: &AppName,
        active: Option<&Release>,
        generation: Generation,
    ) -> Result<(), StoreError> {
        let Some(number) = active.map(|release| release.number) else {
            self.state().apps.entry(app.clone()).or_default().serving = None;
            return Ok(());
        };
        let untold = {
            let mut state = self.state();
            let local = state.apps.entry(app.clone()).or_default();
            if local.serving.replace(number) != Some(number) {
                self.note(Event::Serves(number, Instant::now()));
                local.untold = Some(self.receipt(app, number, ReceiptState::Active));
            }
            local.untold.clone()
        };
        let Some(receipt) = untold else { return Ok(()) };
        self.store.put_receipt(&receipt, generation).await?;
        self.note(Event::Told(number, Instant::now()));
        self.state().apps.entry(app.clone()).or_default().untold = None;
        self.announcements.announce(Topic::App(app.clone()));
        Ok(())
    }

    async fn prepare_candidate(&self, candidate: &Release, generation: Generation) -> Result<(), StoreError> {
        let app = &candidate.app;
        if self.state().apps.get(app).is_some_and(|local| local.reported == Some(generation)) {
            return Ok(());
        }
        let receipt = self.receipt(app, candidate.number, ReceiptState::Prepared);
        if self.store.put_receipt(&receipt, generation).await? {
            self.state().apps.entry(app.clone()).or_default().reported = Some(generation);
        }
        Ok(())
    }

    async fn moved_on(&self, app: &AppName, generation: Generation) {
        loop {
            tokio::time::sleep(MOVED_ON_POLL).await;
            note(self.settle(app).await.map(drop), &self.events);
            if self.store.app(app).await.is_ok_and(|app| app.generation != generation) {
                return;
            }
        }
    }

    async fn settle(&self, app: &AppName) -> Result<bool, StoreError> {
        let Some(rollout) = self.store.rollout(app).await? else { return Ok(false) };
        let (number, generation) = (rollout.candidate.number, rollout.app.generation);
        if !is_prepared(&rollout) || !self.store.activate(app, number, generation).await? {
            return Ok(false);
        }
        self.note(Event::Activated(number, Instant::now()));
        self.announcements.announce(Topic::App(app.clone()));
        Ok(true)
    }

    fn receipt(&self, app: &AppName, release: ReleaseNumber, state: ReceiptState) -> Receipt {
        let (app, node, name) = (app.clone(), self.node.clone(), String::new());
        Receipt { app, release, node, name, state, detail: None, duration_ms: 0, at_unix_ms: 0 }
    }

    /// One look at the app's config beside a pass, and one more when something was announced meanwhile.
    fn look_at_config(self: &Arc<Self>, app: AppName) {
        match self.state().configuring.entry(app.clone()) {
            Entry::Occupied(mut again) => {
                again.insert(true);
                return;
            }
            Entry::Vacant(free) => drop(free.insert(false)),
        }
        let inner = self.clone();
        tokio::spawn(async move {
            loop {
                // It was never set, so there is no more to read than the app's row.
                note(inner.store.app(&app).await.map(drop), &inner.events);
                let mut state = inner.state();
                match state.configuring.get_mut(&app) {
                    Some(again) if *again => *again = false,
                    _ => {
                        state.configuring.remove(&app);
                        return;
                    }
                }
            }
        });
    }
}

/// Whether every live node is. Nothing fails here and nobody is overdue, which is the rest of the product's rule.
fn is_prepared(rollout: &Rollout) -> bool {
    let mut live = rollout.nodes.iter().filter(|node| node.health == NodeHealth::Live).peekable();
    live.peek().is_some() && live.all(|node| rollout.receipts.iter().any(|receipt| receipt.node == node.id))
}
