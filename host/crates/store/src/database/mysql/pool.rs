//! Connections to the server, each lent to one call at a time.
//!
//! A call may be dropped at any moment: its deadline passed, or the client that asked has left. What the server
//! answers then would be taken for the answer to the next call's statement, and a transaction that was just begun
//! would swallow the next call's changes. So only a connection at rest is lent again; any other one is closed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::mysql::MySqlConnection;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::super::SLOW_AFTER;
use super::{CALL_TIMEOUT, CONNECT_TIMEOUT, DatabaseUrl, Trouble};
use crate::StoreError;
use crate::mysql_error::is_server_full;

/// A node's share of the server's connections. The control plane's calls are short.
pub(super) const CONNECTIONS_MAX: u32 = 8;
/// How long a connection may take to show that it is alive; enough is left then to make another one.
const PING_TIMEOUT: Duration = SLOW_AFTER;
/// Connections are renewed, so that a server behind a moved name is found.
const LIFETIME_MAX: Duration = Duration::from_secs(1_800);
/// Those of a burst are given back to the server soon.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// What the tables rely on, whatever the server's own defaults are: a change outside of a transaction lasts, and
/// what does not fit into a column is an error. A wait for somebody's lock ends before the call's deadline does;
/// the server would go on with it for whoever has gone. And whoever falls silent in the middle of a transaction, its
/// network cut, lets go of its locks when the other nodes give it up; left alone, the server would keep them for hours.
/// (MySQL can only be told how long any connection may be silent; MariaDB would log the end of each idle one.)
const SESSION: &str = "SET SESSION autocommit = 1, time_zone = '+00:00',
    sql_mode = 'STRICT_ALL_TABLES,ONLY_FULL_GROUP_BY,NO_ENGINE_SUBSTITUTION',
    innodb_lock_wait_timeout = 1, lock_wait_timeout = 1
    /*M!100300 , idle_transaction_timeout = 5 */ /*!80000 , wait_timeout = 5 */";

/// The connections of this node; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    url: DatabaseUrl,
    places: Arc<Semaphore>,
    resting: Mutex<Resting>,
}

#[derive(Debug)]
struct Resting {
    /// The last used one is at the end, and used next.
    connections: Vec<Rested>,
    /// Raised when those made so far are not to be trusted any more.
    epoch: u64,
    closed: bool,
}

#[derive(Debug)]
struct Rested {
    connection: MySqlConnection,
    made: Instant,
    since: Instant,
}

/// A connection that is lent; dropping it gives it back, and rolls back what was not committed.
#[derive(Debug)]
pub(crate) struct Lent {
    /// None once it is given back.
    connection: Option<MySqlConnection>,
    /// Whether every statement has got its answer.
    at_rest: bool,
    in_transaction: bool,
    made: Instant,
    epoch: u64,
    pool: Arc<Shared>,
    place: Option<OwnedSemaphorePermit>,
}

impl Pool {
    pub(super) fn new(url: &DatabaseUrl) -> Self {
        let resting = Mutex::new(Resting { connections: Vec::new(), epoch: 0, closed: false });
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
        Self(Arc::new(Shared { url: url.clone(), places, resting }))
    }

    pub(super) async fn lend(&self) -> Result<Lent, StoreError> {
        let place = match timeout(CONNECT_TIMEOUT, self.0.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => return Err(Trouble::Closed.into()),
            Err(_) => return Err(Trouble::Busy.into()),
        };
        loop {
            let (epoch, rested) = {
                let mut resting = self.0.resting();
                if resting.closed {
                    return Err(Trouble::Closed.into());
                }
                (resting.epoch, resting.connections.pop())
            };
            let (connection, made) = match rested {
                None => (connect(&self.0.url).await?, Instant::now()),
                Some(rested) if rested.made.elapsed() > LIFETIME_MAX => continue,
                Some(mut rested) => match timeout(PING_TIMEOUT, rested.connection.ping()).await {
                    Ok(Ok(())) => (rested.connection, rested.made),
                    // The server ended it: it was restarted, or does not keep idle ones for long.
                    Ok(Err(_)) => continue,
                    // The way to the server is cut, for its neighbours too; a new one may be found.
                    Err(_) => {
                        self.renew();
                        continue;
                    }
                },
            };
            let (pool, place) = (self.0.clone(), Some(place));
            let connection = Some(connection);
            return Ok(Lent { connection, at_rest: true, in_transaction: false, made, epoch, pool, place });
        }
    }

    /// Lends none of the connections made so far again: they may be to a server that is gone.
    pub(super) fn renew(&self) {
        let old = {
            let mut resting = self.0.resting();
            resting.epoch += 1;
            std::mem::take(&mut resting.connections)
        };
        drop(old);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.resting().closed
    }

    /// Refuses new calls, waits for running ones as long as a call may take, and takes leave of the server.
    pub(super) async fn close(&self) {
        self.0.resting().closed = true;
        let _ = timeout(CALL_TIMEOUT, self.0.places.acquire_many(CONNECTIONS_MAX)).await;
        self.0.places.close();
        let old = std::mem::take(&mut self.0.resting().connections);
        let farewells = async {
            for rested in old {
                let _ = rested.connection.close().await;
            }
        };
        let _ = timeout(CONNECT_TIMEOUT, farewells).await;
    }
}

impl Shared {
    fn resting(&self) -> MutexGuard<'_, Resting> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_back(&self, connection: MySqlConnection, made: Instant, epoch: u64) {
        let mut resting = self.resting();
        resting.connections.retain(|rested| rested.since.elapsed() < IDLE_MAX);
        if resting.epoch == epoch && !resting.closed {
            resting.connections.push(Rested { connection, made, since: Instant::now() });
        }
    }
}

impl Lent {
    /// The connection, for one statement; [`Self::settle`] hears what came of it.
    pub(crate) fn statement(&mut self) -> Result<&mut MySqlConnection, sqlx::Error> {
        self.at_rest = false;
        // It is given back when this is dropped, not earlier, so there is one.
        self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// After other errors than the server's own it is unknown what it still has to say.
    pub(crate) fn settle<T>(&mut self, result: &Result<T, sqlx::Error>) {
        self.at_rest = matches!(result, Ok(_) | Err(sqlx::Error::Database(_) | sqlx::Error::RowNotFound));
    }

    pub(super) async fn begin(mut self, how: &'static str) -> Result<Self, sqlx::Error> {
        self.in_transaction = true;
        let begun = self.statement()?.execute(how).await;
        self.settle(&begun);
        begun?;
        Ok(self)
    }

    /// Makes a transaction's changes last.
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        if self.in_transaction {
            let committed = self.statement()?.execute("COMMIT").await;
            self.settle(&committed);
            committed?;
            self.in_transaction = false;
        }
        Ok(())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if !self.at_rest {
            // The server rolls back when it finds it closed.
            return;
        }
        let (pool, place, made, epoch) = (self.pool.clone(), self.place.take(), self.made, self.epoch);
        if !self.in_transaction {
            pool.take_back(connection, made, epoch);
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Ok(Ok(_)) = timeout(CONNECT_TIMEOUT, connection.execute("ROLLBACK")).await {
                pool.take_back(connection, made, epoch);
            }
            drop(place);
        });
    }
}

/// A connection to the server, set up as the tables need it.
pub(super) async fn connect(url: &DatabaseUrl) -> Result<MySqlConnection, StoreError> {
    let connecting = async {
        let mut connection = url.0.connect().await?;
        connection.execute(SESSION).await?;
        Ok(connection)
    };
    match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) if is_server_full(&error) => Err(Trouble::Full.into()),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Trouble::Silent.into()),
    }
}
