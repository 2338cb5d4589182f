//! The doorbell between the control plane and the reconcile tasks, of this node and of all others.

mod listener;
mod message;
mod outbox;

use std::sync::{Arc, Mutex, PoisonError};

use fred::util::redis_keyslot;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use typecase_model::Topic;

use crate::redis::{Commands, Health, RedisConfig, RedisHealth};
use listener::Listener;
use message::Sender;
use outbox::Outbox;

/// How many announcements a slow subscriber may be behind before it is told to look at everything.
/// A publish storm of a few hundred apps fits; more would only repeat topics that are looked at anyway.
pub const ANNOUNCEMENTS_PENDING_MAX: usize = 1_024;

/// Rings the doorbell and lets others listen to it; clones share it.
#[derive(Debug, Clone)]
pub struct Announcements {
    local: broadcast::Sender<Topic>,
    /// The way to the other nodes; none for a single node.
    redis: Option<Arc<Redis>>,
}

/// The other nodes. Dropping it ends its tasks and closes its connections.
#[derive(Debug)]
struct Redis {
    outbox: Outbox,
    health: Health,
    tasks: Mutex<JoinSet<()>>,
}

impl Announcements {
    /// The doorbell of a single node: announcements never leave the process.
    pub fn in_process() -> Self {
        let (local, _) = broadcast::channel(ANNOUNCEMENTS_PENDING_MAX);
        Self { local, redis: None }
    }

    /// The doorbell of a cluster, whose id keeps it apart from others on the same Redis. Neither waits for Redis nor
    /// fails without it: subscribers hear [`Topic::All`] whenever it can be used (again). Call it within an async
    /// runtime, whose tasks then keep the connections.
    pub fn redis(config: RedisConfig, cluster_id: &str) -> Self {
        let announcements = Self::in_process();
        let channel = format!("typecase:{cluster_id}:announcements");
        let (sender, outbox) = (Sender::random(), Outbox::new());
        let health = Health::new(config.address());
        let mut tasks = JoinSet::new();
        let commands =
            Commands::start(config.clone(), redis_keyslot(channel.as_bytes()), health.part(), &mut tasks);
        let listener = Listener {
            config,
            channel: channel.clone(),
            sender,
            local: announcements.local.clone(),
            part: health.part(),
        };
        tasks.spawn(listener.run());
        // Publishing is in order until it fails.
        let publishing = health.part();
        publishing.up();
        tasks.spawn(outbox::publish_forever(outbox.clone(), commands, publishing, channel, sender));
        Self { redis: Some(Arc::new(Redis { outbox, health, tasks: Mutex::new(tasks) })), ..announcements }
    }

    /// Says "look again at this topic" to every subscriber on every node. Never waits and never fails: whoever misses
    /// it finds the change by its timer.
    pub fn announce(&self, topic: Topic) {
        tracing::trace!(%topic, "announced");
        if let Some(redis) = &self.redis {
            redis.outbox.add(topic.clone());
        }
        // The only error is that nobody listens, which is no concern of the one who announces.
        let _ = self.local.send(topic);
    }

    /// Hears every announcement made from now on.
    pub fn subscribe(&self) -> Subscription {
        Subscription { receiver: self.local.subscribe() }
    }

    /// Whether Redis can be used right now; none for a single node, which needs no Redis.
    pub fn health(&self) -> Option<RedisHealth> {
        self.redis.as_ref().map(|redis| redis.health.read())
    }

    /// Lets the last announcements leave, if Redis takes them within a second, and closes the connections. Afterwards
    /// announcements stay within the process.
    pub async fn close(&self) {
        let Some(redis) = &self.redis else {
            return;
        };
        if redis.health.read().is_up() {
            let _ = tokio::time::timeout(outbox::EMPTY_TIMEOUT, redis.outbox.emptied()).await;
        }
        let mut tasks = std::mem::take(&mut *redis.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }
}

/// One listener. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<Topic>,
}

impl Subscription {
    /// Waits for the next announcement; [`Topic::All`] stands for any number of missed ones.
    /// Cancel-safe. Once every [`Announcements`] is gone it waits for ever, so pair it with a timer.
    pub async fn next(&mut self) -> Topic {
        match self.receiver.recv().await {
            Ok(topic) => topic,
            Err(RecvError::Lagged(missed)) => {
                tracing::debug!(missed, "announcements were missed; looking at everything");
                Topic::All
            }
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(number: usize) -> Topic {
        Topic::App(format!("app-{number}").parse().unwrap())
    }

    #[tokio::test]
    async fn every_subscriber_hears_in_order() {
        let announcements = Announcements::in_process();
        let (mut one, mut two) = (announcements.subscribe(), announcements.subscribe());
        announcements.announce(app(1));
        announcements.clone().announce(app(2));
        for subscription in [&mut one, &mut two] {
            assert_eq!(subscription.next().await, app(1));
            assert_eq!(subscription.next().await, app(2));
        }
    }

    #[tokio::test]
    async fn a_slow_subscriber_is_told_to_look_at_everything() {
        let announcements = Announcements::in_process();
        let mut slow = announcements.subscribe();
        for number in 0..ANNOUNCEMENTS_PENDING_MAX + 10 {
            announcements.announce(app(number));
        }
        assert_eq!(slow.next().await, Topic::All);
        assert_eq!(slow.next().await, app(10));
    }
}
