//! The handle on the log's level, which the process made when it began to log.

use tracing_subscriber::EnvFilter;

/// Changes what is logged from now on.
pub struct LogLevel(Option<Box<Reload>>);

type Reload = dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync;

impl LogLevel {
    pub fn new(reload: impl Fn(EnvFilter) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(reload)))
    }

    /// Of a process that writes no log.
    pub fn fixed() -> Self {
        Self(None)
    }

    pub(super) fn set(&self, level: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(level).map_err(|error| format!("log.level: {error}"))?;
        match &self.0 {
            Some(reload) => reload(filter).map_err(|error| format!("log.level: {error}")),
            None => Ok(()),
        }
    }
}
