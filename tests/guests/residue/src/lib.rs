//! Looks for what another app left in the sandbox: in memory that was never written to, and in its own data.
//!
//! As `residue` it has little data, which is copied into the sandbox; as `residue-mapped` it has more, which is mapped.

use core::arch::wasm32::memory_grow;
use core::sync::atomic::{AtomicU8, Ordering};

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

/// Of the stack, whose top is at 1 MiB, what a request does not reach.
const STACK: core::ops::Range<usize> = 4 << 10..768 << 10;
const GROWN_PAGES: usize = 16;
const PAGE_BYTES: usize = 64 << 10;
const MARK: u8 = 0xa5;

const UNTOUCHED: u8 = 1;
const DATA_BYTES: usize = if cfg!(feature = "mapped") { 32 << 10 } else { 4 << 10 };
static DATA: [AtomicU8; DATA_BYTES] = [const { AtomicU8::new(UNTOUCHED) }; DATA_BYTES];

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
                DATA.iter().for_each(|byte| byte.store(MARK, Ordering::Relaxed));
                "left".to_owned()
            }
            // SAFETY: they are within the memory; that they were never written to is what this is about.
            "/look" => {
                let elsewhere = places.filter(|place| unsafe { (*place as *const u8).read_volatile() } != 0);
                let data = DATA.iter().filter(|byte| byte.load(Ordering::Relaxed) != UNTOUCHED);
                (elsewhere.count() + data.count()).to_string()
            }
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
