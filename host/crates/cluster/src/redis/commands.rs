//! The connection that commands go over: kept for ever, replaced when it breaks, absent in between.

use fred::clients::Client;
use fred::interfaces::PubsubInterface;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Backoff, Connection, Fault, Part, RedisConfig};

/// Clones share the connection.
#[derive(Debug, Clone)]
pub(crate) struct Commands {
    client: watch::Receiver<Option<Client>>,
}

impl Commands {
    /// Never waits: Redis may come later than the node. `slot` is the one that the commands are about.
    pub fn start(config: RedisConfig, slot: u16, part: Part, tasks: &mut JoinSet<()>) -> Self {
        let (sender, client) = watch::channel(None);
        tasks.spawn(keep(config, slot, part, sender));
        Self { client }
    }

    /// Waits until there is a connection. Cancel-safe.
    pub async fn connected(&self) {
        if self.client.clone().wait_for(Option::is_some).await.is_err() {
            // The task that keeps the connection has ended; so will the caller.
            std::future::pending::<()>().await;
        }
    }

    /// Fails at once without a connection, and within a second with one.
    pub async fn publish(&self, channel: &str, payload: String) -> Result<(), Fault> {
        let client = self.client.borrow().clone().ok_or(Fault::Closed)?;
        client.publish::<i64, _, _>(channel, payload).await?;
        Ok(())
    }
}

async fn keep(config: RedisConfig, slot: u16, part: Part, client: watch::Sender<Option<Client>>) {
    let mut backoff = Backoff::default();
    loop {
        let fault = match Connection::open(&config, backoff.attempts()).await {
            Ok(mut connection) => {
                client.send_replace(Some(connection.client().clone()));
                part.up();
                let fault = connection.broken(slot).await;
                client.send_replace(None);
                if connection.was_good() {
                    backoff.reset();
                }
                fault
            }
            Err(fault) => fault,
        };
        part.down(fault);
        backoff.pause().await;
    }
}
