//! One node: its row, its view of the settings and of the storage, and its apps. After `host/src/node.rs` and
//! `host/src/reconcile/{nodes,settings,heal}.rs`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};
use typecase_cluster::Announcements;
use typecase_model::settings::{SettingsReceipt, SettingsState};
use typecase_model::{Generation, NodeId, Topic};
use typecase_store::{Store, StoreError};

use super::apps::Apps;
use super::publisher::Publisher;
use super::{Event, Plan};

// The product's.
const HEARTBEAT: Duration = Duration::from_millis(1_500);
const STORAGE_LOOK: Duration = Duration::from_secs(10);
const SETTINGS_TIMER: Duration = Duration::from_secs(2);
const HEAL_TIMER: Duration = Duration::from_secs(15);

/// How long a node may take to look at every app after its start.
const SETTLED_TIMEOUT: Duration = Duration::from_secs(120);
const SETTLED_POLL: Duration = Duration::from_millis(20);

/// Dropping it ends its tasks.
#[derive(Debug)]
pub struct SimulatedNode {
    number: usize,
    store: Store,
    announcements: Announcements,
    _tasks: JoinSet<()>,
}

impl Plan {
    pub async fn store(&self) -> Result<Store> {
        let store = Store::open_cluster(&self.database, &self.storage, &self.secret).await;
        let store = store.context("joining the cluster")?;
        store.check_storage().await.context("looking at the storage")?;
        Ok(store)
    }
}

impl SimulatedNode {
    /// Starts it and waits until it has looked at every app.
    pub async fn start(plan: Plan, number: usize) -> Result<Self> {
        let id: NodeId = format!("node-{number}").parse()?;
        let store = plan.store().await?;
        let announcements = Announcements::redis(plan.redis, store.cluster_id().unwrap_or_default());
        register(&store, &id).await.context("registering the node")?;
        let mut tasks = JoinSet::new();
        let events = &plan.events;
        tasks.spawn(send_heartbeats(store.clone(), announcements.clone(), id.clone(), events.clone()));
        tasks.spawn(watch_storage(store.clone(), events.clone()));
        tasks.spawn(follow_settings(store.clone(), announcements.clone(), id.clone(), events.clone()));
        let apps = Apps::new(store.clone(), announcements.clone(), id, plan.events.clone());
        apps.load_all().await.context("reading what should run")?;
        tasks.spawn(apps.clone().run());
        tasks.spawn(look_for_damage(store.clone(), announcements.clone(), plan.events));
        let began = Instant::now();
        while !apps.are_settled() {
            if began.elapsed() > SETTLED_TIMEOUT {
                bail!("it has not looked at all apps within {} s", SETTLED_TIMEOUT.as_secs());
            }
            tokio::time::sleep(SETTLED_POLL).await;
        }
        Ok(Self { number, store, announcements, _tasks: tasks })
    }

    pub fn number(&self) -> usize {
        self.number
    }

    /// Whoever publishes through this node.
    pub fn publisher(&self) -> Publisher {
        Publisher { store: self.store.clone(), announcements: self.announcements.clone() }
    }
}

async fn register(store: &Store, id: &NodeId) -> Result<(), StoreError> {
    store.register_node(id, id.as_str(), "192.0.2.1:22345", "192.0.2.1:8100", "simulated").await
}

async fn send_heartbeats(
    store: Store,
    announcements: Announcements,
    id: NodeId,
    events: mpsc::UnboundedSender<Event>,
) {
    let mut announcements = announcements.subscribe();
    let mut timer = timer(HEARTBEAT);
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            topic = announcements.next() => if !matches!(topic, Topic::Nodes | Topic::All) { continue },
        }
        let beat = async {
            match store.heartbeat(&id, "").await? {
                Some(_) => Ok(()),
                None => register(&store, &id).await,
            }
        };
        note(beat.await, &events);
    }
}

async fn watch_storage(store: Store, events: mpsc::UnboundedSender<Event>) {
    let mut timer = timer(STORAGE_LOOK);
    loop {
        timer.tick().await;
        note(store.check_storage().await, &events);
    }
}

async fn follow_settings(
    store: Store,
    announcements: Announcements,
    id: NodeId,
    events: mpsc::UnboundedSender<Event>,
) {
    let mut announcements = announcements.subscribe();
    let mut timer = timer(SETTINGS_TIMER);
    let mut applied = None;
    loop {
        let topic = tokio::select! {
            topic = announcements.next() => topic,
            _ = timer.tick() => Topic::Settings,
        };
        if matches!(topic, Topic::Settings | Topic::All) {
            note(look_at_settings(&store, &id, &mut applied).await, &events);
        }
    }
}

async fn look_at_settings(
    store: &Store,
    id: &NodeId,
    applied: &mut Option<Generation>,
) -> Result<(), StoreError> {
    let newest = store.settings_generation().await?;
    if *applied >= Some(newest) {
        return Ok(());
    }
    let generation = store.settings().await?.generation;
    let receipt = SettingsReceipt {
        node: id.clone(),
        generation,
        state: SettingsState::Applied,
        detail: None,
        ignored: Vec::new(),
        at_unix_ms: 0,
    };
    store.put_settings_receipt(&receipt).await?;
    *applied = Some(generation);
    Ok(())
}

async fn look_for_damage(store: Store, announcements: Announcements, events: mpsc::UnboundedSender<Event>) {
    let mut heard = announcements.subscribe();
    let mut timer = timer(HEAL_TIMER);
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            topic = heard.next() => if !matches!(topic, Topic::Bundles | Topic::All) { continue },
        }
        note(store.damaged_bundles().await.map(drop), &events);
    }
}

fn timer(period: Duration) -> Interval {
    let mut timer = tokio::time::interval(period);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

/// Every one of these tasks tries again by itself.
pub fn note(result: Result<(), StoreError>, events: &mpsc::UnboundedSender<Event>) {
    if let Err(error) = result {
        // The only error is that nobody measures any more.
        let _ = events.send(Event::Failed(error.to_string()));
    }
}
