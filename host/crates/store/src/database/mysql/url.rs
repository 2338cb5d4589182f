//! Where the cluster's database is.

use std::str::FromStr;

use sqlx::ConnectOptions as _;
use sqlx::mysql::MySqlConnectOptions;

use crate::database::SLOW_AFTER;

/// Statements that a connection keeps prepared. The server has a bound for those of all connections of all nodes,
/// by default 16,382; what a node repeats every second is far less than this.
const STATEMENTS_PREPARED_MAX: usize = 32;

/// Where the cluster's database is; may hold a password, so it is never shown.
#[derive(Clone)]
pub struct DatabaseUrl(pub(super) MySqlConnectOptions);

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
            .statement_cache_capacity(STATEMENTS_PREPARED_MAX)
            .log_statements(tracing::log::LevelFilter::Trace)
            .log_slow_statements(tracing::log::LevelFilter::Warn, SLOW_AFTER);
        Ok(Self(options))
    }
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
