//! Looks for what another app left in the sandbox. It has little data, so that it shares sandboxes with all apps
//! that have little.

use core::arch::wasm32::memory_grow;

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

/// Of the stack, whose top is at 1 MiB, what a request does not reach.
const STACK: core::ops::Range<usize> = 4 << 10..768 << 10;
const GROWN_PAGES: usize = 16;
const PAGE_BYTES: usize = 64 << 10;
const MARK: u8 = 0xa5;

struct Residue;

wasip2::http::proxy::export!(Residue);

impl Guest for Residue {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let grown = memory_grow::<0>(GROWN_PAGES) * PAGE_BYTES;
        let places = STACK.chain(grown..grown + GROWN_PAGES * PAGE_BYTES);
        let said = match &*path {
            "/leave" => {
                for place in places {
                    // SAFETY: nobody else uses these parts of this instance's memory.
                    unsafe { (place as *mut u8).write_volatile(MARK) }
                }
                "left".to_owned()
            }
            // SAFETY: they are within the memory; that they were never written to is what this is about.
            "/look" => places
                .filter(|place| unsafe { (*place as *const u8).read_volatile() } != 0)
                .count()
                .to_string(),
            _ => "ok".to_owned(),
        };
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        let _ = stream.blocking_write_and_flush(said.as_bytes());
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}
