//! Config and logs: the same interfaces for both generations of WASI.

use super::bindings::wasi::config::store;
use super::bindings::wasi::logging::logging;

pub(crate) fn config_get(key: &str) -> Result<Option<String>, String> {
    store::get(key).map_err(reason)
}

pub(crate) fn config_all() -> Result<Vec<(String, String)>, String> {
    store::get_all().map_err(reason)
}

fn reason(error: store::Error) -> String {
    match error {
        store::Error::Upstream(reason) | store::Error::Io(reason) => reason,
    }
}

pub(crate) fn log(level: log::Level, target: &str, message: &str) {
    let level = match level {
        log::Level::Trace => logging::Level::Trace,
        log::Level::Debug => logging::Level::Debug,
        log::Level::Info => logging::Level::Info,
        log::Level::Warn => logging::Level::Warn,
        log::Level::Error => logging::Level::Error,
    };
    logging::log(level, target, message);
}
