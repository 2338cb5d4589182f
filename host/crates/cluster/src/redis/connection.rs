//! One connection from its first byte to its last; whoever needs another one opens another one.

use std::time::{Duration, Instant};

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, PubsubInterface};
use fred::types::ClusterHash;
use fred::types::config::{ConnectionConfig, Options, PerformanceConfig, TcpConfig};
use fred::util::redis_keyslot;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use super::{Fault, RedisConfig};

/// fred's default is none. A healthy Redis answers in a millisecond; nobody waits longer than this for a sick one.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);

/// From nothing to a usable connection: a name to resolve, a Sentinel to ask, TLS, a password, a cluster's map.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// With the command's deadline, a hung server counts as down within 2 s.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// A connection that lives longer is a good one; who loses one sooner waits longer before the next.
const LIFE_MIN: Duration = Duration::from_secs(2);

/// Commands that wait for a slow connection; more are refused rather than kept in memory.
const COMMANDS_PENDING_MAX: usize = 1_024;

/// Messages that wait to be looked at. Who falls behind further is told so, and looks at everything. fred reserves the
/// room in advance, and for each kind of event.
const MESSAGES_PENDING_MAX: usize = 256;

/// A connection that has answered. Dropping it closes it, whatever it is waiting for.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    /// fred's task, which owns the sockets.
    router: AbortOnDropHandle<Result<(), Error>>,
    opened: Instant,
}

impl Connection {
    /// `attempt` chooses among several servers, so that a dead one is not asked twice in a row.
    pub async fn open(config: &RedisConfig, attempt: usize) -> Result<Self, Fault> {
        let performance = PerformanceConfig {
            default_command_timeout: COMMAND_TIMEOUT,
            broadcast_channel_capacity: MESSAGES_PENDING_MAX,
            ..PerformanceConfig::default()
        };
        let connection = ConnectionConfig {
            connection_timeout: COMMAND_TIMEOUT,
            internal_command_timeout: COMMAND_TIMEOUT,
            max_command_buffer_len: COMMANDS_PENDING_MAX,
            tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
            ..ConnectionConfig::default()
        };
        let client = Client::new(config.for_attempt(attempt), Some(performance), Some(connection), None);
        #[expect(clippy::async_yields_async, reason = "the task is kept, not awaited")]
        let handshake = async {
            // The first branch listens before the second one can succeed or fail.
            tokio::join!(biased; client.wait_for_connect(), async { AbortOnDropHandle::new(client.connect()) })
        };
        let (connected, router) =
            tokio::time::timeout(CONNECT_TIMEOUT, handshake).await.map_err(|_| Fault::Silent)?;
        connected?;
        let connection = Self { client, router, opened: Instant::now() };
        // fred takes a connection that was closed right after the greeting for a good one.
        connection.ping(None).await?;
        Ok(connection)
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether it lasted, so that its loss is an event of its own.
    pub fn was_good(&self) -> bool {
        self.opened.elapsed() > LIFE_MIN
    }

    /// Returns when the subscription is in force.
    pub async fn subscribe(&self, channel: &str) -> Result<(), Fault> {
        self.client.subscribe(channel).await?;
        // fred does not wait for the answer to a subscription. Redis answers in order, so the answer to what is asked
        // next is either a refusal of the subscription, or tells that it is in force.
        self.ping(Some(self.subscription_slot())).await
    }

    /// In a Redis Cluster fred subscribes at the server that has this slot.
    pub fn subscription_slot(&self) -> u16 {
        redis_keyslot(self.client.id().as_bytes())
    }

    /// Asks for a sign of life; in a Redis Cluster, of the server that has the slot.
    async fn ping(&self, slot: Option<u16>) -> Result<(), Fault> {
        let hash = slot.map(ClusterHash::Custom);
        let options = Options { cluster_hash: hash, timeout: Some(COMMAND_TIMEOUT), ..Options::default() };
        Ok(self.client.with_options(&options).ping::<()>(None).await?)
    }

    /// Waits until the connection is of no use any more, and says why. Cancel-safe.
    pub async fn broken(&mut self, slot: u16) -> Fault {
        loop {
            tokio::select! {
                ended = &mut self.router => return fault_of(ended),
                () = tokio::time::sleep(PING_INTERVAL) => {}
            }
            if let Err(fault) = self.ping(Some(slot)).await {
                return fault;
            }
        }
    }
}

fn fault_of(ended: Result<Result<(), Error>, JoinError>) -> Fault {
    match ended {
        Ok(Ok(())) => Fault::Closed,
        Ok(Err(error)) => error.into(),
        Err(error) => Fault::Other(format!("its client failed: {error}")),
    }
}
