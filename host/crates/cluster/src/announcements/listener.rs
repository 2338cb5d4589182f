//! Hears what other nodes announce, and looks at everything whenever something may have been missed.

use fred::interfaces::EventInterface;
use metrics::counter;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use typecase_model::Topic;

use super::message::{Message, Sender};
use crate::redis::{Backoff, Connection, Fault, Part, RedisConfig};

/// The subscription of one process.
pub(super) struct Listener {
    pub config: RedisConfig,
    pub channel: String,
    /// Ourselves, whom our own subscribers have heard already.
    pub sender: Sender,
    pub local: broadcast::Sender<Topic>,
    pub part: Part,
}

impl Listener {
    pub async fn run(self) {
        let mut backoff = Backoff::default();
        loop {
            let fault = match Connection::open(&self.config, backoff.attempts()).await {
                Ok(mut connection) => {
                    let fault = self.listen(&mut connection).await;
                    if connection.was_good() {
                        backoff.reset();
                    }
                    fault
                }
                Err(fault) => fault,
            };
            self.part.down(fault);
            backoff.pause().await;
        }
    }

    /// Returns when the subscription is broken.
    async fn listen(&self, connection: &mut Connection) -> Fault {
        let mut messages = connection.client().message_rx();
        if let Err(fault) = connection.subscribe(&self.channel).await {
            return fault;
        }
        self.part.up();
        self.tell(Topic::All);
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Ok(message) => self.hear(message.value.as_bytes().unwrap_or_default()),
                    Err(RecvError::Lagged(missed)) => {
                        tracing::debug!(missed, "announcements came too fast; looking at everything");
                        self.tell(Topic::All);
                    }
                    Err(RecvError::Closed) => return Fault::Closed,
                },
                fault = connection.broken(connection.subscription_slot()) => return fault,
            }
        }
    }

    fn hear(&self, payload: &[u8]) {
        match Message::parse(payload) {
            Ok(message) if message.sender == self.sender => {}
            Ok(message) => {
                counter!("typecase_announcements_total", "direction" => "received").increment(1);
                self.tell(message.topic);
            }
            Err(error) => tracing::debug!("an announcement is ignored: {error}"),
        }
    }

    fn tell(&self, topic: Topic) {
        tracing::trace!(%topic, "heard");
        // The only error is that nobody listens.
        let _ = self.local.send(topic);
    }
}
