//! The `log` crate's way to the server.

use log::{LevelFilter, Log, Metadata, Record};

use crate::platform;

struct Logger;

static LOGGER: Logger = Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let message = match record.args().as_str() {
            Some(text) => text.into(),
            None => std::borrow::Cow::Owned(record.args().to_string()),
        };
        platform::log(record.level(), record.target(), &message);
    }

    fn flush(&self) {}
}

/// An app that has installed another logger keeps it.
pub(crate) fn install(level: LevelFilter) {
    if log::set_logger(&LOGGER).is_ok() || cfg!(not(target_os = "wasi")) {
        log::set_max_level(level);
    }
}
