//! What the error numbers of MySQL and MariaDB mean.

use sqlx::mysql::MySqlDatabaseError;

/// No connection is left, for anybody or for this account.
const SERVER_FULL: [u16; 3] = [1040, 1203, 1226];
/// No space is left for a table or a file.
const DISK_FULL: [u16; 2] = [1021, 1114];
/// A lock was waited for too long, or two transactions waited for each other.
const DEADLOCK: [u16; 2] = [1205, 1213];

/// The number, when the server answered with an error; none for SQLite's errors.
pub(crate) fn mysql_number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?;
    Some(error.number())
}

fn is_one_of(error: &sqlx::Error, numbers: &[u16]) -> bool {
    mysql_number(error).is_some_and(|number| numbers.contains(&number))
}

/// Whether the server takes no more connections.
pub(crate) fn is_server_full(error: &sqlx::Error) -> bool {
    is_one_of(error, &SERVER_FULL)
}

/// Whether the server has no space left to write to.
pub(crate) fn is_disk_full(error: &sqlx::Error) -> bool {
    is_one_of(error, &DISK_FULL)
}

/// Whether two transactions met, and the same call will probably succeed at once.
pub(crate) fn is_deadlock(error: &sqlx::Error) -> bool {
    is_one_of(error, &DEADLOCK)
}
