//! Computes forever, whatever is asked.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

struct Spin;

wasip2::http::proxy::export!(Spin);

impl Guest for Spin {
    fn handle(_request: IncomingRequest, _out: ResponseOutparam) {
        loop {
            std::hint::spin_loop();
        }
    }
}
