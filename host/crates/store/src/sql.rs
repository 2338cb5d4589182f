//! One text of SQL for both databases: the statement, its values, its rows.
//!
//! The dialects agree on nearly everything used here. What differs is a placeholder in the text:
//! `{now}` is the database's clock in Unix milliseconds, `{for update}` keeps the rows that are read locked
//! until the transaction ends (SQLite has one writer and needs none), `{insert new}` inserts unless the key
//! exists already; then, and for no other reason, it matches no row.

use sqlx::mysql::MySqlRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Decode, MySql, Row as _, Sqlite, Type};

use crate::database::Connection;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    /// MySQL 8 and MariaDB 10.6 or later.
    MySql,
}

/// Not the databases' own `IGNORE`, under which values that do not fit are cut and missing ones made up.
const INSERT_NEW: &str = "{insert new}";

impl Dialect {
    fn expand(self, text: &'static str) -> String {
        let (now, for_update) = match self {
            Self::Sqlite => ("CAST(unixepoch('subsec') * 1000 AS INTEGER)", ""),
            Self::MySql => ("CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)", "FOR UPDATE"),
        };
        text.replace("{now}", now).replace("{for update}", for_update).replace(INSERT_NEW, "INSERT INTO")
    }
}

/// A statement with its values in the order of its question marks.
#[derive(Debug)]
pub(crate) struct Sql {
    text: &'static str,
    values: Vec<Value>,
}

/// Numbers and texts are all that the tables hold.
#[derive(Debug)]
pub(crate) enum Value {
    Number(Option<i64>),
    Text(Option<String>),
}

pub(crate) fn sql(text: &'static str) -> Sql {
    Sql { text, values: Vec::new() }
}

/// The database's clock: the only one that times in the tables come from.
pub(crate) async fn now_unix_ms(connection: &mut Connection) -> Result<i64, sqlx::Error> {
    sql("SELECT {now} AS now").fetch_one(connection).await?.try_get("now")
}

/// One row of a result.
#[derive(Debug)]
pub(crate) enum Row {
    Sqlite(SqliteRow),
    MySql(MySqlRow),
}

/// Builds the typed query of one database and runs it.
macro_rules! run {
    ($sql:ident, $dialect:expr, $method:ident, $connection:expr) => {{
        let mut query = sqlx::query(AssertSqlSafe($dialect.expand($sql.text)));
        for value in $sql.values {
            query = match value {
                Value::Number(number) => query.bind(number),
                Value::Text(text) => query.bind(text),
            };
        }
        query.$method($connection).await
    }};
}

/// Runs a statement on whichever connection it is; `$from` makes of each database's result the common one.
macro_rules! on_either {
    ($sql:ident, $connection:ident, $method:ident, $from_sqlite:expr, $from_mysql:expr) => {
        match $connection {
            Connection::Sqlite(connection) => {
                run!($sql, Dialect::Sqlite, $method, &mut **connection).map($from_sqlite)
            }
            Connection::SqliteTransaction(connection) => {
                run!($sql, Dialect::Sqlite, $method, &mut **connection).map($from_sqlite)
            }
            Connection::MySql(connection) => {
                let result = run!($sql, Dialect::MySql, $method, connection.statement()?);
                connection.settle(&result);
                result.map($from_mysql)
            }
        }
    };
}

impl Sql {
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it; the number of rows that it matched.
    pub(crate) async fn execute(self, connection: &mut Connection) -> Result<u64, sqlx::Error> {
        let may_exist = self.text.starts_with(INSERT_NEW);
        let matched =
            on_either!(self, connection, execute, |done| done.rows_affected(), |done| done.rows_affected());
        match matched {
            Err(sqlx::Error::Database(error)) if may_exist && error.is_unique_violation() => Ok(0),
            matched => matched,
        }
    }

    pub(crate) async fn fetch_all(self, connection: &mut Connection) -> Result<Vec<Row>, sqlx::Error> {
        on_either!(self, connection, fetch_all, |rows| rows.into_iter().map(Row::Sqlite).collect(), |rows| {
            rows.into_iter().map(Row::MySql).collect()
        })
    }

    pub(crate) async fn fetch_optional(
        self,
        connection: &mut Connection,
    ) -> Result<Option<Row>, sqlx::Error> {
        on_either!(self, connection, fetch_optional, |row| row.map(Row::Sqlite), |row| row.map(Row::MySql))
    }

    pub(crate) async fn fetch_one(self, connection: &mut Connection) -> Result<Row, sqlx::Error> {
        on_either!(self, connection, fetch_one, Row::Sqlite, Row::MySql)
    }
}

impl Row {
    pub(crate) fn try_get<'r, T>(&'r self, column: &str) -> Result<T, sqlx::Error>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, MySql> + Type<MySql>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::MySql(row) => row.try_get(column),
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(Some(number.into()))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}
