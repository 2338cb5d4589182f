//! The connections: one writer and a few readers over SQLite in WAL mode.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Row, Sqlite, Transaction};

use crate::StoreError;

/// The longest any call may take. Long enough for a flush that waits behind a large upload on a slow disk.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest a call waits for a connection; above it the node is overloaded and says so.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long SQLite itself waits for a lock another process holds (a backup, a second node by mistake).
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Reads are short and come from the control plane only.
const READERS_MAX: u32 = 4;
/// A call slower than this is worth a line in the log.
const SLOW_AFTER: Duration = Duration::from_millis(500);

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// A transaction that may write. SQLite upgrades no read transaction to a write transaction safely, so each
/// of these takes the write lock when it begins.
pub(crate) type Write = Transaction<'static, Sqlite>;

#[derive(Debug, Clone)]
pub(crate) struct Database {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Database {
    pub(crate) async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL, because a release that was reported active must still be so after a power cut.
            .synchronous(SqliteSynchronous::Full)
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
                .connect_with(options)
        };
        let opening = |error: sqlx::Error| StoreError::from(error).during("open the database");
        let writer = pool(1, options.clone()).await.map_err(opening)?;
        MIGRATIONS.run(&writer).await.map_err(schema)?;
        let readers = pool(READERS_MAX, options).await.map_err(opening)?;
        Ok(Self { writer, readers })
    }

    /// Begins a transaction that may write; it is rolled back unless committed.
    pub(crate) async fn write(&self) -> Result<Write, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Begins a transaction whose reads all see one state of the database.
    pub(crate) async fn read(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.readers.begin().await?)
    }

    /// A connection for a single read.
    pub(crate) async fn reader(&self) -> Result<sqlx::pool::PoolConnection<Sqlite>, StoreError> {
        Ok(self.readers.acquire().await?)
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// The database's clock: the only one that times in the tables come from.
pub(crate) async fn now_unix_ms(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)").fetch_one(connection).await?;
    Ok(row.try_get(0)?)
}

fn schema(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) => StoreError::from(error).during("prepare the tables"),
        MigrateError::VersionMissing(number) | MigrateError::VersionTooNew(number, _) => {
            StoreError::Schema(format!(
                "it was used by a newer version (table change {number} is unknown here): run that version or a later one"
            ))
        }
        other => StoreError::Schema(other.to_string()),
    }
}
