//! The tables, and how an older database is brought up to this version.
//!
//! One statement a file, because MySQL ends a transaction at each change of a table. Nodes of the version
//! before go on working on the new tables: changes only add. What removes something follows a version later,
//! and raises `oldest_schema`, the oldest version of the tables that a node must know to take part.

use std::borrow::Cow;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, Migrator};
use sqlx::mysql::MySqlConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::time::timeout;

use crate::StoreError;
use crate::mysql_error::{is_deadlock, mysql_number};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Binary collation: names and digests that differ in case or accents are different ones.
const MYSQL_TABLE_OPTIONS: &str = " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

/// How long a node waits for another one that changes the tables.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest that all changes may take, on tables of any size; above it the server hangs.
const CHANGES_TIMEOUT: Duration = Duration::from_secs(900);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a change is tried again for which somebody did not make way, and how long others go first.
const CHANGE_TRIES: u32 = 30;
const CHANGE_PAUSE: Duration = Duration::from_secs(1);

/// MySQL's errors for a table, a column and an index that exist already.
const EXISTS_ALREADY: [u16; 3] = [1050, 1060, 1061];

/// The newest version of the tables that this binary knows.
pub(crate) fn newest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

pub(super) async fn run_on_sqlite(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    migrator(MIGRATIONS.iter().cloned().collect()).run(connection).await.map_err(failed)
}

/// Runs the changes under a lock of the server, so that nodes that start together do not meet.
pub(super) async fn run_on_mysql(mut connection: MySqlConnection) -> Result<(), StoreError> {
    const WHAT: &str = "prepare the tables";
    let changed = timeout(CHANGES_TIMEOUT, change_mysql(&mut connection)).await;
    // Ending the connection gives the lock back, whatever happened.
    let _ = timeout(CLOSE_TIMEOUT, connection.close()).await;
    match changed {
        Ok(changed) => changed.map_err(|error| error.during(WHAT)),
        Err(_) => Err(StoreError::deadline(WHAT, CHANGES_TIMEOUT)),
    }
}

async fn change_mysql(connection: &mut MySqlConnection) -> Result<(), StoreError> {
    // The name of a lock is shorter than that of a database may be.
    let locked: Option<i64> =
        sqlx::query_scalar("SELECT GET_LOCK(CONCAT('typecase.tables.', SHA1(DATABASE())), ?)")
            .bind(LOCK_TIMEOUT.as_secs() as i64)
            .fetch_one(&mut *connection)
            .await?;
    if locked != Some(1) {
        return Err(StoreError::Schema(format!(
            "another node has been changing the tables for {} s: look at its log, then start this one again",
            LOCK_TIMEOUT.as_secs()
        )));
    }
    let migrator = migrator(MIGRATIONS.iter().map(for_mysql).collect());
    let (mut interrupted, mut tries_left) = (None, CHANGE_TRIES);
    loop {
        match migrator.run(&mut *connection).await {
            // A node that died between a change and its record left the record unfinished.
            Err(MigrateError::Dirty(version)) => {
                tracing::warn!(version, "finishing a change of the tables that was interrupted");
                sqlx::query("DELETE FROM _sqlx_migrations WHERE version = ? AND success = FALSE")
                    .bind(version)
                    .execute(&mut *connection)
                    .await?;
                interrupted = Some(version);
            }
            // Only the record was missing.
            Err(MigrateError::ExecuteMigration(error, version))
                if interrupted.take() == Some(version) && exists_already(&error) =>
            {
                sqlx::query("UPDATE _sqlx_migrations SET success = TRUE WHERE version = ?")
                    .bind(version)
                    .execute(&mut *connection)
                    .await?;
            }
            // Somebody reads the table for long, a backup perhaps. To wait in line would hold up whoever comes
            // after; so this comes back.
            Err(MigrateError::ExecuteMigration(error, version)) if is_deadlock(&error) && tries_left > 0 => {
                tracing::warn!(version, "waiting for others to let the tables be changed: {error}");
                tries_left -= 1;
                tokio::time::sleep(CHANGE_PAUSE).await;
            }
            result => return result.map_err(failed),
        }
    }
}

fn exists_already(error: &sqlx::Error) -> bool {
    mysql_number(error).is_some_and(|number| EXISTS_ALREADY.contains(&number))
}

fn migrator(migrations: Vec<Migration>) -> Migrator {
    // Newer changes in the database are fine while `oldest_schema` allows this version.
    Migrator { migrations: migrations.into(), ignore_missing: true, locking: false, ..Migrator::DEFAULT }
}

fn for_mysql(migration: &Migration) -> Migration {
    let text = migration.sql.as_str().trim_end();
    let text: Cow<'_, str> = match text.starts_with("CREATE TABLE") {
        true => format!("{text}{MYSQL_TABLE_OPTIONS}").into(),
        false => text.into(),
    };
    let sql = sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(text.into_owned()));
    Migration { sql, ..migration.clone() }
}

fn failed(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) => StoreError::from(error).during("prepare the tables"),
        other => StoreError::Schema(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
