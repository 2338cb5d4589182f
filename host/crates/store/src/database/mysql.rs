//! MySQL and MariaDB: a pool of connections, and what to do while the server cannot be reached.
//!
//! A server that is down is known to be down: calls fail at once while one task looks for its return, and
//! then work on new connections. A hung or replaced server leaves connections behind that would fail one
//! call each.

use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlPool, MySqlPoolOptions};
use sqlx::pool::PoolConnection;
use sqlx::{ConnectOptions, Connection as _, MySql, Transaction};

use super::{SLOW_AFTER, migrations};
use crate::StoreError;

/// The longest any call may take, so that whoever asks a node hears within two seconds that its database hangs.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_millis(1_500);
/// The longest one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);
/// How often a server that is down is tried.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// How often a node that waits for its database says so.
const WAITING_SAID_EVERY: Duration = Duration::from_secs(5);
/// A node's share of the server's connections. The control plane's calls are short.
const CONNECTIONS_MAX: u32 = 8;
/// Connections are renewed, so that a server behind a moved name is found.
const LIFETIME_MAX: Duration = Duration::from_secs(1_800);

/// Errors that say "this server is not the one to write to": read-only after a fail-over, or not in its cluster.
const WRONG_SERVER: [u16; 5] = [1047, 1290, 1792, 1836, 1053];
/// Errors that waiting does not mend: no such user, no such database, not allowed to use it.
const WRONG_URL: [u16; 4] = [1044, 1045, 1049, 1698];

/// Where the cluster's database is; may hold a password, so it is never shown.
#[derive(Clone)]
pub struct DatabaseUrl(MySqlConnectOptions);

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "mysql://{}:{}/{}",
            self.0.get_host(),
            self.0.get_port(),
            self.0.get_database().unwrap_or("")
        )
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    /// Parses `mysql://user:password@host:3306/database`. The error is for whoever wrote it and names no secret.
    fn from_str(text: &str) -> Result<Self, String> {
        const EXAMPLE: &str = "write mysql://USER:PASSWORD@HOST:3306/DATABASE";
        if text.starts_with("sqlite") || text.starts_with("file:") {
            return Err(format!(
                "SQLite belongs to one node; a cluster needs MySQL 8 or MariaDB 10.6 or later: {EXAMPLE}"
            ));
        }
        if !text.starts_with("mysql://") && !text.starts_with("mariadb://") {
            return Err(format!("not an address of MySQL or MariaDB: {EXAMPLE}"));
        }
        let options = MySqlConnectOptions::from_str(text)
            .map_err(|_| format!("malformed (special characters of the password as %XX?): {EXAMPLE}"))?;
        if options.get_database().is_none_or(str::is_empty) {
            return Err(format!("it names no database: {EXAMPLE}"));
        }
        let options = options
            .charset("utf8mb4")
            .statement_cache_capacity(200)
            .log_statements(tracing::log::LevelFilter::Trace)
            .log_slow_statements(tracing::log::LevelFilter::Warn, SLOW_AFTER);
        Ok(Self(options))
    }
}

/// The cluster's database server; clones share its connections.
#[derive(Debug, Clone)]
pub(crate) struct MySqlServer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    url: DatabaseUrl,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pool: MySqlPool,
    /// Why the server cannot be used, as long as it cannot.
    down: Option<String>,
}

impl MySqlServer {
    pub(super) async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let connection = first_connection(url).await?;
        migrations::run_on_mysql(connection).await?;
        let state = Mutex::new(State { pool: pool(url), down: None });
        Ok(Self(Arc::new(Inner { url: url.clone(), state })))
    }

    pub(super) async fn connection(&self) -> Result<PoolConnection<MySql>, StoreError> {
        Ok(self.pool()?.acquire().await?)
    }

    /// Read committed, because what a writer decides by is locked and must be the newest.
    pub(super) async fn write(&self) -> Result<Transaction<'static, MySql>, StoreError> {
        const BEGIN: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION";
        Ok(self.pool()?.begin_with(BEGIN).await?)
    }

    /// Repeatable read: all reads see the state that the first one saw.
    pub(super) async fn read(&self) -> Result<Transaction<'static, MySql>, StoreError> {
        const BEGIN: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION READ ONLY";
        Ok(self.pool()?.begin_with(BEGIN).await?)
    }

    pub(super) async fn close(&self) {
        let pool = self.state().pool.clone();
        pool.close().await;
    }

    /// Marks the server down if the error may be its fault, and looks for it until it answers.
    pub(super) fn suspect(&self, error: &StoreError) {
        let StoreError::Unavailable { source, .. } = error else { return };
        let mut state = self.state();
        if state.down.is_some() || is_own_fault(&**source) {
            return;
        }
        state.down = Some(source.to_string());
        drop(state);
        let server = self.clone();
        tokio::spawn(async move { server.wait_for_return().await });
    }

    async fn wait_for_return(&self) {
        let began = Instant::now();
        let mut said = false;
        loop {
            let reason = match probe(&self.0.url).await {
                Ok(()) => break,
                Err(error) => error.to_string(),
            };
            if !said {
                tracing::warn!(database = ?self.0.url, "the database cannot be used: {reason}");
                said = true;
            }
            self.state().down = Some(reason);
            tokio::time::sleep(PROBE_INTERVAL).await;
        }
        let old = {
            let mut state = self.state();
            if state.pool.is_closed() {
                return;
            }
            state.down = None;
            std::mem::replace(&mut state.pool, pool(&self.0.url))
        };
        // Its connections may hang; nobody waits for them.
        drop(tokio::spawn(async move { old.close().await }));
        if said {
            let duration_ms = began.elapsed().as_millis() as u64;
            tracing::info!(database = ?self.0.url, duration_ms, "the database can be used again");
        }
    }

    fn pool(&self) -> Result<MySqlPool, StoreError> {
        let state = self.state();
        match &state.down {
            None => Ok(state.pool.clone()),
            Some(reason) => Err(StoreError::Unavailable {
                what: "",
                part: "database",
                source: Box::new(KnownDown(reason.clone())),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An outage that is being watched already.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct KnownDown(String);

fn pool(url: &DatabaseUrl) -> MySqlPool {
    MySqlPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(CONNECT_TIMEOUT)
        .max_lifetime(LIFETIME_MAX)
        .connect_lazy_with(url.0.clone())
}

/// Waits for the server as long as waiting may help: nodes and their services start in any order.
async fn first_connection(url: &DatabaseUrl) -> Result<MySqlConnection, StoreError> {
    let mut said: Option<Instant> = None;
    loop {
        let error = match connect(url).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        if mysql_number(&error).is_some_and(|number| WRONG_URL.contains(&number)) {
            return Err(StoreError::from(error).during("open the cluster's database"));
        }
        if said.is_none_or(|said| said.elapsed() >= WAITING_SAID_EVERY) {
            tracing::warn!(database = ?url, "waiting for the database: {error}");
            said = Some(Instant::now());
        }
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
}

async fn connect(url: &DatabaseUrl) -> Result<MySqlConnection, sqlx::Error> {
    match tokio::time::timeout(CONNECT_TIMEOUT, url.0.connect()).await {
        Ok(connected) => connected,
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// Whether the server answers and may be written to.
async fn probe(url: &DatabaseUrl) -> Result<(), ProbeError> {
    let looked = tokio::time::timeout(CONNECT_TIMEOUT, async {
        let mut connection = url.0.connect().await?;
        let read_only: bool =
            sqlx::query_scalar("SELECT @@global.read_only <> 0").fetch_one(&mut connection).await?;
        let _ = connection.close().await;
        Ok::<_, sqlx::Error>(read_only)
    });
    match looked.await {
        Ok(Ok(false)) => Ok(()),
        Ok(Ok(true)) => Err(ProbeError::ReadOnly),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(ProbeError::Silent),
    }
}

#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error("it is read-only: after a fail-over, point the address at the new primary")]
    ReadOnly,
    #[error("no answer within {} ms", CONNECT_TIMEOUT.as_millis())]
    Silent,
    #[error("{0}")]
    Sql(#[from] sqlx::Error),
}

/// Errors that say nothing about the server: a statement's own, an outage that is known, a busy node.
fn is_own_fault(source: &(dyn std::error::Error + 'static)) -> bool {
    if source.is::<KnownDown>() {
        return true;
    }
    match source.downcast_ref::<sqlx::Error>() {
        Some(error @ sqlx::Error::Database(_)) => {
            !mysql_number(error).is_some_and(|number| WRONG_SERVER.contains(&number))
        }
        _ => false,
    }
}

fn mysql_number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?;
    Some(error.number())
}

/// Whether two transactions met, and the same call will probably succeed at once.
pub(crate) fn is_deadlock(error: &sqlx::Error) -> bool {
    matches!(mysql_number(error), Some(1205 | 1213))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_and_never_shown_with_their_password() {
        let url: DatabaseUrl = "mysql://me:s3cret@db.example:3307/typecase".parse().unwrap();
        assert_eq!(format!("{url:?}"), "mysql://db.example:3307/typecase");
        for (wrong, hint) in [
            ("sqlite://x.db", "SQLite"),
            ("postgres://x", "not an address"),
            ("mysql://me:s3cret@db", "no database"),
            ("mysql://me:s3cret@db:port/x", "malformed"),
        ] {
            let error = wrong.parse::<DatabaseUrl>().unwrap_err();
            assert!(error.contains(hint) && !error.contains("s3cret"), "{error}");
        }
    }
}
