//! A look at a server from outside, for whoever sets a cluster up.

use sqlx::Row as _;

use super::pool::connect;
use super::{CALL_TIMEOUT, DatabaseUrl, timeout};
use crate::StoreError;

/// What a cluster's database is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseReport {
    /// As the server calls itself: MySQL's number, or MariaDB's with its name.
    pub version: String,
    pub read_only: bool,
    pub connections: i64,
    pub connections_max: i64,
    /// The server's clock, milliseconds since the Unix epoch.
    pub now_unix_ms: i64,
    /// The cluster that lives in it, if any does.
    pub cluster: Option<String>,
}

const LOOK: &str = "SELECT VERSION() AS version, CAST(@@global.read_only AS SIGNED) AS read_only,
            CAST(@@global.max_connections AS SIGNED) AS connections_max,
            CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) AS now_unix_ms,
            (SELECT COUNT(*) FROM information_schema.processlist) AS connections";

/// Connects once and looks; changes nothing.
pub async fn examine_database(url: &DatabaseUrl) -> Result<DatabaseReport, StoreError> {
    const WHAT: &str = "look at the database";
    let look = async {
        let mut connection = connect(url).await?;
        let row = sqlx::query(LOOK).fetch_one(&mut connection).await?;
        // Before the first node there is no such table.
        let cluster = sqlx::query("SELECT id FROM clusters WHERE singleton = 1");
        let cluster = cluster.fetch_optional(&mut connection).await.ok().flatten();
        Ok::<_, StoreError>(DatabaseReport {
            version: row.try_get("version")?,
            read_only: row.try_get::<i64, _>("read_only")? != 0,
            connections: row.try_get("connections")?,
            connections_max: row.try_get("connections_max")?,
            now_unix_ms: row.try_get("now_unix_ms")?,
            cluster: cluster.and_then(|row| row.try_get("id").ok()),
        })
    };
    match timeout(CALL_TIMEOUT, look).await {
        Ok(result) => result.map_err(|error| error.during(WHAT)),
        Err(_) => Err(StoreError::deadline(WHAT, CALL_TIMEOUT)),
    }
}
