//! The doorbell between the control plane and the reconcile tasks.

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use typecase_model::Topic;

/// How many announcements a slow subscriber may be behind before it is told to look at everything.
/// A publish storm of a few hundred apps fits; more would only repeat topics that are looked at anyway.
pub const ANNOUNCEMENTS_PENDING_MAX: usize = 1_024;

/// Rings the doorbell and lets others listen to it; clones share it.
#[derive(Debug, Clone)]
pub struct Announcements {
    transport: Transport,
}

/// How announcements travel. A cluster's transport becomes a second variant; callers do not change.
#[derive(Debug, Clone)]
enum Transport {
    InProcess(broadcast::Sender<Topic>),
}

impl Announcements {
    /// The doorbell of a single node: announcements never leave the process.
    pub fn in_process() -> Self {
        let (sender, _) = broadcast::channel(ANNOUNCEMENTS_PENDING_MAX);
        Self { transport: Transport::InProcess(sender) }
    }

    /// Says "look again at this topic" to every subscriber. Never waits and never fails: whoever misses it
    /// finds the change by its timer.
    pub fn announce(&self, topic: Topic) {
        match &self.transport {
            Transport::InProcess(sender) => {
                tracing::trace!(?topic, "announced");
                // The only error is that nobody listens, which is no concern of the one who announces.
                let _ = sender.send(topic);
            }
        }
    }

    /// Hears every announcement made from now on.
    pub fn subscribe(&self) -> Subscription {
        match &self.transport {
            Transport::InProcess(sender) => Subscription { receiver: sender.subscribe() },
        }
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
