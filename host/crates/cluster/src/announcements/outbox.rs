//! Announcements on their way to the other nodes: coalesced, bounded, and kept until Redis took them.

use std::collections::HashSet;
use std::time::Duration;

use metrics::counter;
use tokio::sync::watch;
use typecase_model::Topic;

use super::message::{Message, Sender};
use crate::redis::{Backoff, Commands, Fault, Part};

/// Topics that wait for Redis. Beyond it one "look at everything" stands for all of them.
const TOPICS_PENDING_MAX: usize = 1_024;

/// How long a node that stops waits for its last announcements to leave.
pub(super) const EMPTY_TIMEOUT: Duration = Duration::from_secs(1);

/// Where announcements wait. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Outbox {
    pending: watch::Sender<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    /// A set, because an announcement carries no fact: twice is as good as once, in any order.
    topics: HashSet<Topic>,
    is_sending: bool,
}

impl Pending {
    fn add(&mut self, topic: Topic) {
        if self.topics.contains(&Topic::All) {
            return;
        }
        if topic == Topic::All || self.topics.len() >= TOPICS_PENDING_MAX {
            self.topics.clear();
            self.topics.insert(Topic::All);
        } else {
            self.topics.insert(topic);
        }
    }
}

impl Outbox {
    pub fn new() -> Self {
        Self { pending: watch::channel(Pending::default()).0 }
    }

    /// Never waits.
    pub fn add(&self, topic: Topic) {
        self.pending.send_modify(|pending| pending.add(topic));
    }

    /// Waits until everything was taken by Redis.
    pub async fn emptied(&self) {
        let is_empty = |pending: &Pending| pending.topics.is_empty() && !pending.is_sending;
        // The only error is that the sender is gone, and this is one.
        let _ = self.pending.subscribe().wait_for(is_empty).await;
    }

    /// Waits until there is something to publish.
    async fn filled(&self) {
        let _ = self.pending.subscribe().wait_for(|pending| !pending.topics.is_empty()).await;
    }

    fn take(&self) -> HashSet<Topic> {
        let mut taken = HashSet::new();
        self.pending.send_modify(|pending| {
            taken = std::mem::take(&mut pending.topics);
            pending.is_sending = true;
        });
        taken
    }

    fn settle(&self, left: HashSet<Topic>) {
        self.pending.send_modify(|pending| {
            left.into_iter().for_each(|topic| pending.add(topic));
            pending.is_sending = false;
        });
    }
}

/// Publishes what the outbox holds, for ever. Topics that Redis did not take stay in the outbox.
pub(super) async fn publish_forever(
    outbox: Outbox,
    commands: Commands,
    part: Part,
    channel: String,
    sender: Sender,
) {
    let mut backoff = Backoff::default();
    loop {
        outbox.filled().await;
        commands.connected().await;
        let mut topics = outbox.take();
        let result = publish(&mut topics, &commands, &channel, sender).await;
        outbox.settle(topics);
        match result {
            Ok(()) => {
                part.up();
                backoff.reset();
            }
            Err(fault) => {
                counter!("typecase_announcements_total", "direction" => "failed").increment(1);
                part.down(fault);
                backoff.pause().await;
            }
        }
    }
}

/// Takes out of the set what was published.
async fn publish(
    topics: &mut HashSet<Topic>,
    commands: &Commands,
    channel: &str,
    sender: Sender,
) -> Result<(), Fault> {
    while let Some(topic) = topics.iter().next().cloned() {
        let message = Message { sender, topic };
        commands.publish(channel, message.to_string()).await?;
        counter!("typecase_announcements_total", "direction" => "sent").increment(1);
        topics.remove(&message.topic);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(number: usize) -> Topic {
        Topic::App(format!("app-{number}").parse().unwrap())
    }

    #[test]
    fn duplicates_are_one() {
        let outbox = Outbox::new();
        [app(1), app(2), app(1)].into_iter().for_each(|topic| outbox.add(topic));
        assert_eq!(outbox.take(), HashSet::from([app(1), app(2)]));
    }

    #[test]
    fn too_many_become_everything() {
        let outbox = Outbox::new();
        (0..TOPICS_PENDING_MAX).for_each(|number| outbox.add(app(number)));
        assert_eq!(outbox.pending.borrow().topics.len(), TOPICS_PENDING_MAX);
        outbox.add(app(TOPICS_PENDING_MAX));
        outbox.add(app(0));
        assert_eq!(outbox.take(), HashSet::from([Topic::All]));
    }

    #[test]
    fn what_was_not_taken_is_kept_beside_what_came_meanwhile() {
        let outbox = Outbox::new();
        outbox.add(app(1));
        let left = outbox.take();
        outbox.add(app(2));
        outbox.settle(left);
        assert_eq!(outbox.take(), HashSet::from([app(1), app(2)]));
    }
}
