//! What an instance keeps from one request to the next, if it serves several: its app.

use crate::{App, logger};

/// The app; made for the first request.
pub(super) fn app(make: fn() -> App) -> &'static App {
    kept().get().unwrap_or_else(|| {
        let app: &'static App = Box::leak(Box::new(make()));
        logger::install(app.level());
        kept().set(Some(app));
        app
    })
}

#[cfg(feature = "allocator")]
use super::allocator::app as kept;

#[cfg(not(feature = "allocator"))]
fn kept() -> &'static std::thread::LocalKey<std::cell::Cell<Option<&'static App>>> {
    thread_local! {
        static APP: std::cell::Cell<Option<&'static App>> = const { std::cell::Cell::new(None) };
    }
    &APP
}
