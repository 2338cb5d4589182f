//! Traps while it is instantiated, so before any request is taken.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

struct StartTrap;

wasip2::http::proxy::export!(StartTrap);

/// A component runs the export of this name of its core module as the last step of instantiation.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    core::arch::wasm32::unreachable()
}

impl Guest for StartTrap {
    fn handle(_request: IncomingRequest, _out: ResponseOutparam) {}
}
