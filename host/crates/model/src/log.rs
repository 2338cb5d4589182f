//! What is told about an app's run: lines that it wrote, and what the host saw of it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::AppName;

/// One thing that happened, on its way from a sandbox to the app's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Unix time in microseconds, by the node's clock.
    pub time_us: i64,
    pub level: EntryLevel,
    pub source: EntrySource,
    pub app: AppName,
    pub release: u32,
    /// Empty for what happened outside of any request.
    pub request_id: Arc<str>,
    /// Several lines where they belong together, as those of a backtrace do.
    pub message: String,
    /// What the app names as the origin of a message, its module for example.
    pub context: Option<String>,
    /// The stable code of a failure that the client was told of.
    pub error_code: Option<&'static str>,
}

/// How much an entry matters; those of `wasi:logging`, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

/// Where an entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntrySource {
    Stdout,
    Stderr,
    /// The interface `wasi:logging`.
    Logging,
    /// The server: crashes, limits, refusals.
    Host,
}

/// A word that is no level; the message says which words are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a level: use trace, debug, info, warn, error or critical")]
pub struct UnknownLevel(String);

impl EntryLevel {
    pub const ALL: [Self; 6] =
        [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Critical];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl EntrySource {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Logging => "logging",
            Self::Host => "host",
        }
    }
}

impl fmt::Display for EntryLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EntryLevel {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        let known = Self::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(text));
        known.ok_or_else(|| UnknownLevel(text.chars().take(32).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_words_in_ascending_order() {
        assert!(EntryLevel::ALL.is_sorted());
        for level in EntryLevel::ALL {
            assert_eq!(level.as_str().parse(), Ok(level));
            assert_eq!(serde_json::to_value(level).unwrap(), level.as_str());
        }
        assert_eq!("WARN".parse(), Ok(EntryLevel::Warn));
        assert!(
            "warning".parse::<EntryLevel>().unwrap_err().to_string().contains("`warning` is not a level")
        );
    }
}
