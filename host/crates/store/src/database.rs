//! The connections to either database: SQLite for a single node, MySQL or MariaDB for a cluster.

pub(crate) mod migrations;
mod mysql;
mod sqlite;

use std::path::Path;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, Transaction};

use crate::StoreError;

pub use mysql::{DatabaseReport, DatabaseUrl, examine_database};
pub(crate) use mysql::{Lent, MySqlServer};
pub(crate) use sqlite::SqliteFile;

/// A call slower than this is worth a line in the log, and a look at the database.
const SLOW_AFTER: Duration = Duration::from_millis(500);

/// How often a call is made again that met another one in the database.
const DEADLOCK_RETRIES: u32 = 5;

#[derive(Debug, Clone)]
pub(crate) enum Database {
    Sqlite(SqliteFile),
    MySql(MySqlServer),
}

/// One connection, for a single statement or within a transaction; the latter is rolled back unless committed.
#[derive(Debug)]
pub(crate) enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    SqliteTransaction(Transaction<'static, Sqlite>),
    MySql(Lent),
}

impl Database {
    pub(crate) async fn open_sqlite(path: &Path, durable: bool) -> Result<Self, StoreError> {
        Ok(Self::Sqlite(SqliteFile::open(path, durable).await?))
    }

    /// Waits until the server can be reached; fails only for what waiting does not mend.
    pub(crate) async fn open_mysql(url: &DatabaseUrl) -> Result<Self, StoreError> {
        Ok(Self::MySql(MySqlServer::open(url).await?))
    }

    /// Runs one call under the deadline every call has. Of two transactions that met in a cluster's database
    /// one is rolled back, which is made again here.
    pub(crate) async fn within<T, F>(&self, what: &'static str, call: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let deadline = self.call_timeout();
        let attempts = async {
            let mut retries_left = DEADLOCK_RETRIES;
            loop {
                match call().await {
                    Err(error) if error.is_deadlock() && retries_left > 0 => retries_left -= 1,
                    result => return result,
                }
            }
        };
        let slow = async {
            tokio::time::sleep(SLOW_AFTER).await;
            self.doubt();
            std::future::pending().await
        };
        let answer = async {
            tokio::select! {
                result = attempts => result,
                never = slow => never,
            }
        };
        let result = match tokio::time::timeout(deadline, answer).await {
            Ok(result) => result.map_err(|error| error.during(what)),
            Err(_) => Err(StoreError::deadline(what, deadline)),
        };
        if let Err(error) = &result {
            self.suspect(error);
        }
        result
    }

    /// The longest any call may take.
    fn call_timeout(&self) -> Duration {
        match self {
            Self::Sqlite(_) => sqlite::CALL_TIMEOUT,
            Self::MySql(server) => server.call_timeout(),
        }
    }

    #[cfg(test)]
    pub(crate) fn be_patient(&self) {
        if let Self::MySql(server) = self {
            server.be_patient();
        }
    }

    /// Begins a transaction that may write. Rows that it decides by must be read `{for update}`.
    pub(crate) async fn write(&self) -> Result<Connection, StoreError> {
        match self {
            Self::Sqlite(file) => Ok(Connection::SqliteTransaction(file.write().await?)),
            Self::MySql(server) => Ok(Connection::MySql(server.write().await?)),
        }
    }

    /// Begins a transaction whose reads all see one state of the database.
    pub(crate) async fn read(&self) -> Result<Connection, StoreError> {
        match self {
            Self::Sqlite(file) => Ok(Connection::SqliteTransaction(file.read().await?)),
            Self::MySql(server) => Ok(Connection::MySql(server.read().await?)),
        }
    }

    /// A connection for a single statement.
    pub(crate) async fn single(&self) -> Result<Connection, StoreError> {
        match self {
            Self::Sqlite(file) => Ok(Connection::Sqlite(file.reader().await?)),
            Self::MySql(server) => Ok(Connection::MySql(server.connection().await?)),
        }
    }

    /// Hears that a call takes long already, and finds out whether the database is there at all.
    fn doubt(&self) {
        if let Self::MySql(server) = self {
            server.doubt();
        }
    }

    /// Hears that a call failed or took too long, and finds out whether the database is to blame.
    fn suspect(&self, error: &StoreError) {
        if let Self::MySql(server) = self {
            server.suspect(error);
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(file) => file.close().await,
            Self::MySql(server) => server.close().await,
        }
    }
}

impl Connection {
    /// Makes a transaction's changes last; nothing to do for a single statement.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::SqliteTransaction(transaction) => Ok(transaction.commit().await?),
            Self::MySql(connection) => Ok(connection.commit().await?),
        }
    }
}

#[cfg(test)]
mod tests;
