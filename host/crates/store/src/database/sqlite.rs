//! SQLite in WAL mode: one writer and a few readers.

use std::path::Path;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection as _, Sqlite, Transaction};

use super::{SLOW_AFTER, migrations};
use crate::StoreError;

/// Long enough for a flush that waits behind a large upload on a slow disk.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest a call waits for a connection; above it the node is overloaded and says so.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long SQLite itself waits for a lock another process holds (a backup, a second node by mistake).
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Reads are short and come from the control plane only.
const READERS_MAX: u32 = 4;

#[derive(Debug, Clone)]
pub(crate) struct SqliteFile {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteFile {
    pub(super) async fn open(path: &Path, durable: bool) -> Result<Self, StoreError> {
        // FULL, because a release that was reported active must still be so after a power cut.
        let synchronous = if durable { SqliteSynchronous::Full } else { SqliteSynchronous::Off };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .log_statements(tracing::log::LevelFilter::Trace)
            .log_slow_statements(tracing::log::LevelFilter::Warn, SLOW_AFTER);
        let pool = |connections_max, options| {
            SqlitePoolOptions::new()
                .max_connections(connections_max)
                .min_connections(1)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .idle_timeout(None)
                .max_lifetime(None)
                // On a full disk, and in a few cases more, SQLite rolls back by itself; the library then takes the transaction for
                // open, because rolling it back fails. Such a connection is closed, and another one opened.
                .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
                .connect_with(options)
        };
        let opening = |error: sqlx::Error| StoreError::from(error).during("open the database");
        let writer = pool(1, options.clone()).await.map_err(opening)?;
        migrations::run_on_sqlite(&mut *writer.acquire().await?).await?;
        let readers = pool(READERS_MAX, options).await.map_err(opening)?;
        Ok(Self { writer, readers })
    }

    /// SQLite upgrades no read transaction to a write transaction safely, so each of these takes the write
    /// lock when it begins.
    pub(super) async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    pub(super) async fn read(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.readers.begin().await?)
    }

    pub(super) async fn reader(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        Ok(self.readers.acquire().await?)
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
