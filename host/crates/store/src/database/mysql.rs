//! MySQL and MariaDB: what to do while the server cannot be reached.
//!
//! A call that fails or is slow puts the server in doubt: a task looks whether it answers and may be written to,
//! and other calls wait for what it finds. A server that is down is known to be down: calls fail at once until
//! the task finds it back, and then work on new connections.

mod examination;
mod pool;
mod url;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::Executor as _;
use sqlx::mysql::MySqlConnection;
use tokio::sync::watch;
use tokio::time::timeout;

use super::migrations;
use crate::StoreError;
use crate::mysql_error::mysql_number;
use pool::{CONNECTIONS_MAX, Pool, connect};

pub use examination::{DatabaseReport, examine_database};
pub(crate) use pool::Lent;
pub use url::DatabaseUrl;

/// The longest any call may take, so that whoever asks a node hears within two seconds that its database hangs.
const CALL_TIMEOUT: Duration = Duration::from_millis(1_500);
/// The longest one attempt to connect may take. With the time after which a call is slow it is as long as a call:
/// when the first call to a hung server fails, the next one is refused at once.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);
/// How often a server that is down is tried.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// How often a node that waits for its database says so.
const WAITING_SAID_EVERY: Duration = Duration::from_secs(5);

/// Errors that say "this server is not the one to write to": read-only after a fail-over, or not in its cluster.
const WRONG_SERVER: [u16; 5] = [1047, 1290, 1792, 1836, 1053];
/// Those of them that a read-only server answers with.
const READ_ONLY: [u16; 3] = [1290, 1792, 1836];
/// Errors that waiting does not mend: no such user, no such database, not allowed to use it, account locked.
const WRONG_URL: [u16; 6] = [1044, 1045, 1049, 1698, 3118, 4151];

/// The cluster's database server; clones share its connections.
#[derive(Debug, Clone)]
pub(crate) struct MySqlServer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    url: DatabaseUrl,
    pool: Pool,
    condition: watch::Sender<Condition>,
    /// A call failed on a connection, and its neighbours may be as dead.
    distrusts_connections: AtomicBool,
    call_timeout_ms: AtomicU64,
}

#[derive(Debug)]
enum Condition {
    Up,
    /// A task looks; calls wait for what it finds.
    InDoubt,
    /// Why; the task looks again and again.
    Down(Arc<str>),
}

/// Why a connection cannot be had, when it is not an error of SQL.
#[derive(Debug, Clone, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    KnownDown(Arc<str>),
    #[error("no answer within {} ms", CONNECT_TIMEOUT.as_millis())]
    Silent,
    #[error("it is read-only: after a fail-over, point the address at the new primary")]
    ReadOnly,
    #[error("it has no connection left for this node: raise its `max_connections`, which all nodes share")]
    Full,
    #[error("all {CONNECTIONS_MAX} connections of this node are in use")]
    Busy,
    #[error("this node is stopping")]
    Closed,
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        Self::Unavailable { what: "", part: "database", source: Box::new(trouble) }
    }
}

impl MySqlServer {
    pub(super) async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let connection = first_connection(url).await?;
        migrations::run_on_mysql(connection).await?;
        Ok(Self(Arc::new(Inner {
            url: url.clone(),
            pool: Pool::new(url),
            condition: watch::Sender::new(Condition::Up),
            distrusts_connections: AtomicBool::new(false),
            call_timeout_ms: AtomicU64::new(CALL_TIMEOUT.as_millis() as u64),
        })))
    }

    pub(super) fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.0.call_timeout_ms.load(Ordering::Relaxed))
    }

    /// For tests of something else than deadlines: a loaded machine is slow, not broken.
    #[cfg(test)]
    pub(super) fn be_patient(&self) {
        self.0.call_timeout_ms.store(60_000, Ordering::Relaxed);
    }

    pub(super) async fn connection(&self) -> Result<Lent, StoreError> {
        self.wait_until_known().await?;
        self.0.pool.lend().await
    }

    /// Read committed, because what a writer decides by is locked and must be the newest.
    pub(super) async fn write(&self) -> Result<Lent, StoreError> {
        const BEGIN: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION";
        Ok(self.connection().await?.begin(BEGIN).await?)
    }

    /// Repeatable read: all reads see the state that the first one saw.
    pub(super) async fn read(&self) -> Result<Lent, StoreError> {
        const BEGIN: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION READ ONLY";
        Ok(self.connection().await?.begin(BEGIN).await?)
    }

    pub(super) async fn close(&self) {
        self.0.pool.close().await;
    }

    /// Hears that a call failed.
    pub(super) fn suspect(&self, error: &StoreError) {
        let StoreError::Unavailable { part: "database", source, .. } = error else { return };
        if !is_own_fault(&**source) {
            self.0.distrusts_connections.store(true, Ordering::Relaxed);
            self.doubt();
        }
    }

    /// Hears that a call takes long, which may be its own fault.
    pub(super) fn doubt(&self) {
        let begins = self.0.condition.send_if_modified(|condition| {
            let is_up = matches!(condition, Condition::Up);
            if is_up {
                *condition = Condition::InDoubt;
            }
            is_up
        });
        if begins {
            let server = self.clone();
            tokio::spawn(async move { server.look_until_up().await });
        }
    }

    async fn look_until_up(&self) {
        let began = Instant::now();
        let mut said = false;
        while let Err(reason) = probe(&self.0.url).await {
            if self.0.pool.is_closed() {
                return;
            }
            self.0.distrusts_connections.store(true, Ordering::Relaxed);
            self.0.condition.send_replace(Condition::Down(reason.as_str().into()));
            if !said {
                tracing::warn!(database = ?self.0.url, "the database cannot be used: {reason}");
                said = true;
            }
            tokio::time::sleep(PROBE_INTERVAL).await;
        }
        if self.0.distrusts_connections.swap(false, Ordering::Relaxed) {
            self.0.pool.renew();
        }
        self.0.condition.send_replace(Condition::Up);
        if said {
            let duration_ms = began.elapsed().as_millis() as u64;
            tracing::info!(database = ?self.0.url, duration_ms, "the database can be used again");
        }
    }

    /// Passes at once unless the server is in doubt.
    async fn wait_until_known(&self) -> Result<(), StoreError> {
        let mut condition = self.0.condition.subscribe();
        // The sender is in here, so waiting never fails.
        let known = condition.wait_for(|condition| !matches!(condition, Condition::InDoubt)).await;
        match known.as_deref() {
            Ok(Condition::Down(reason)) => Err(Trouble::KnownDown(reason.clone()).into()),
            _ => Ok(()),
        }
    }
}

/// Waits for the server as long as waiting may help: nodes and their services start in any order.
async fn first_connection(url: &DatabaseUrl) -> Result<MySqlConnection, StoreError> {
    let mut said: Option<Instant> = None;
    loop {
        let error = match connect(url).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error.during("open the cluster's database"),
        };
        if error_number(&error).is_some_and(|number| WRONG_URL.contains(&number)) {
            return Err(error);
        }
        if said.is_none_or(|said| said.elapsed() >= WAITING_SAID_EVERY) {
            tracing::warn!(database = ?url, "waiting for the database: {error}");
            said = Some(Instant::now());
        }
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
}

/// Whether the server answers and may be written to; the error is a reason.
async fn probe(url: &DatabaseUrl) -> Result<(), String> {
    // It changes no row, and is refused all the same where no row may be changed.
    const WRITE: &str = "UPDATE clusters SET singleton = 1 WHERE singleton = 0";
    let looking = async {
        let mut connection = connect(url).await?;
        connection.execute(WRITE).await?;
        Ok::<_, StoreError>(())
    };
    let error = match timeout(CONNECT_TIMEOUT, looking).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error,
        Err(_) => return Err(Trouble::Silent.to_string()),
    };
    let StoreError::Unavailable { source, .. } = &error else { return Err(error.to_string()) };
    match source.downcast_ref::<Trouble>() {
        // It is there, and the connections that this node has are good.
        Some(Trouble::Full) => Ok(()),
        _ if error_number(&error).is_some_and(|number| READ_ONLY.contains(&number)) => {
            Err(Trouble::ReadOnly.to_string())
        }
        _ => Err(source.to_string()),
    }
}

/// Errors that say nothing about the server: a statement's own, an outage that is known, a busy node.
fn is_own_fault(source: &(dyn std::error::Error + 'static)) -> bool {
    match (source.downcast_ref::<Trouble>(), source.downcast_ref::<sqlx::Error>()) {
        (Some(trouble), _) => !matches!(trouble, Trouble::Silent),
        (_, Some(error)) => match mysql_number(error) {
            Some(number) => !WRONG_SERVER.contains(&number),
            None => false,
        },
        _ => false,
    }
}

fn error_number(error: &StoreError) -> Option<u16> {
    let StoreError::Unavailable { source, .. } = error else { return None };
    mysql_number(source.downcast_ref::<sqlx::Error>()?)
}

#[cfg(test)]
mod tests;
