//! What can go wrong in the system of record, sorted by what the caller can do about it.

use std::io::ErrorKind;
use std::time::Duration;

use typecase_model::{AppName, Generation, ReleaseNumber};

type Source = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nobody's mistake and maybe over soon: down, hung, locked, full. Trying again is right.
    #[error("could not {what}: the {part} is not available ({source})")]
    Unavailable { what: &'static str, part: &'static str, source: Source },
    /// Nothing can be written until somebody frees some space.
    #[error("could not {what}: the disk of the {part} is full")]
    Full { what: &'static str, part: &'static str },
    /// Someone else was first; look again before you try again.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The same for what belongs to no app.
    #[error(
        "{what} changed meanwhile (generation {found}, expected {expected}): look at them again, then try again"
    )]
    Outdated { what: &'static str, expected: Generation, found: Generation },
    #[error(
        "the host `{host}` belongs to the app `{owner}` already: remove it from `hosts` in [app] of one of them"
    )]
    HostTaken { host: String, owner: AppName },
    #[error("{0} does not exist")]
    NotFound(String),
    /// More of something than is kept; the sentence says how much that is.
    #[error("{0}")]
    TooMuch(String),
    #[error("{0} exists already")]
    Exists(String),
    /// What is stored is not what was stored. Trying again does not help.
    #[error("{what} is corrupt: {detail}")]
    Corrupt { what: String, detail: String },
    /// This node is set up for another cluster; the sentence says what to change.
    #[error("{0}")]
    Refused(String),
    /// The tables and this binary do not fit together.
    #[error("the database does not fit this version of typecase: {0}")]
    Schema(String),
}

/// A change that lost against another one, with both generations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub app: AppName,
    /// The generation the caller had seen, when it named one.
    pub expected: Option<Generation>,
    pub found: Generation,
    /// The release that is being rolled out, when that is what stands in the way.
    pub candidate: Option<ReleaseNumber>,
}

impl std::error::Error for Conflict {}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { app, expected, found, candidate } = self;
        match candidate {
            Some(number) => write!(f, "release {number} of `{app}` is being rolled out (generation {found}")?,
            None => write!(f, "`{app}` was changed by someone else (generation {found}")?,
        }
        match expected {
            Some(expected) => write!(f, ", expected {expected}): ")?,
            None => write!(f, "): ")?,
        }
        f.write_str("wait until that is done, look at the app, then try again")
    }
}

impl StoreError {
    pub(crate) fn deadline(what: &'static str, deadline: Duration) -> Self {
        let source = format!("no answer within {} ms", deadline.as_millis()).into();
        Self::Unavailable { what, part: "database", source }
    }

    pub(crate) fn storage(what: &'static str, source: impl Into<Source>) -> Self {
        let (part, source) = ("bundle storage", source.into());
        match is_full(&*source) {
            true => Self::Full { what, part },
            false => Self::Unavailable { what, part, source },
        }
    }

    /// The same for the disk of this node, where copies of bundles are made.
    pub(crate) fn own_disk(what: &'static str, source: std::io::Error) -> Self {
        match is_full(&source) {
            true => Self::Full { what, part: "node" },
            false => Self::Unavailable { what, part: "node's disk", source: Box::new(source) },
        }
    }

    pub(crate) fn corrupt_row(what: impl Into<String>, detail: impl ToString) -> Self {
        Self::Corrupt { what: what.into(), detail: detail.to_string() }
    }

    pub(crate) fn no_app(app: &AppName) -> Self {
        Self::NotFound(format!("app `{app}`"))
    }

    pub(crate) fn no_release(app: &AppName, number: ReleaseNumber) -> Self {
        Self::NotFound(format!("release {number} of `{app}`"))
    }

    /// Names the call that failed; errors of SQL itself do not know it.
    pub(crate) fn during(self, call: &'static str) -> Self {
        match self {
            Self::Unavailable { what: "", part, source } => Self::Unavailable { what: call, part, source },
            Self::Full { what: "", part } => Self::Full { what: call, part },
            other => other,
        }
    }

    /// Whether this call was rolled back in favour of another one.
    pub(crate) fn is_deadlock(&self) -> bool {
        let Self::Unavailable { source, .. } = self else { return false };
        source.downcast_ref::<sqlx::Error>().is_some_and(crate::mysql_error::is_deadlock)
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn may_be_retried(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::ColumnDecode { index, source } => {
                Self::corrupt_row(format!("database column {index}"), source)
            }
            sqlx::Error::Decode(source) => Self::corrupt_row("a database row", source),
            sqlx::Error::Database(source) if matches!(source.code().as_deref(), Some("11" | "26")) => {
                Self::corrupt_row("the database file", source)
            }
            // SQLITE_FULL; SQLite reports it as its own error rather than the system's.
            sqlx::Error::Database(source) if source.code().as_deref() == Some("13") => {
                Self::Full { what: "", part: "database" }
            }
            source if crate::mysql_error::is_disk_full(&source) => Self::Full { what: "", part: "database" },
            source => Self::Unavailable { what: "", part: "database", source: Box::new(source) },
        }
    }
}

/// Whether the system said, anywhere below, that there is no space left.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            // An io::Error that wraps another one passes over it when it is asked for its source.
            let inner = io.get_ref().is_some_and(|inner| is_full(inner));
            return inner || matches!(io.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_recognized_under_other_errors() {
        let full = || std::io::Error::from(ErrorKind::StorageFull);
        let wrapped = object_store::Error::Generic { store: "x", source: Box::new(full()) };
        for source in [Source::from(full()), Box::new(wrapped), Box::new(std::io::Error::other(full()))] {
            assert!(matches!(StoreError::storage("x", source), StoreError::Full { .. }));
        }
        assert!(matches!(StoreError::storage("x", "slow"), StoreError::Unavailable { .. }));
    }
}
