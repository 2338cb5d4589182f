//! Says things in every way there is: both streams, and `wasi:logging` with each level.

use bindings::wasi::logging::logging::{Level, log};

/// The interface is not among those that the bindings bring.
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "logging", generate_all });
}

/// `marker` tells the entries of one request.
pub fn say(marker: &str) {
    println!("out-{marker}");
    eprintln!("err-{marker}");
    for (level, name) in [
        (Level::Trace, "trace"),
        (Level::Debug, "debug"),
        (Level::Info, "info"),
        (Level::Warn, "warn"),
        (Level::Error, "error"),
        (Level::Critical, "critical"),
    ] {
        log(level, "guest", &format!("{name}-{marker}"));
    }
}
