//! Behaviour that the host has to end, or to survive.

use std::hint::black_box;
use std::io::Write;
use std::mem::forget;

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::types::{Fields, OutgoingBody, ResponseOutparam};

use crate::answer::{begin, fields, text};

/// About a hundred and fifty years: longer than any deadline, and no overflow in any host.
const FOREVER_NS: u64 = 1 << 62;
const FLOOD_FIELDS: u32 = 1_000_000;

pub fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

pub fn wait() {
    subscribe_duration(FOREVER_NS).block();
}

pub fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

/// Every page is written to, so that what was granted is also resident. Ends in the allocator's abort.
pub fn memory() -> ! {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1u8; 1 << 20]));
    }
}

pub fn recurse(out: ResponseOutparam) {
    let depth = descend(black_box(1));
    text(out, 200, &format!("came back from {depth}"));
}

#[inline(never)]
fn descend(depth: u64) -> u64 {
    // The addition after the call keeps the compiler from making a loop of it.
    if black_box(depth) == 0 { 0 } else { descend(depth + 1) + black_box(1) }
}

pub fn hang_body(out: ResponseOutparam) {
    let body = begin(out, 200, fields(&[("content-type", "text/plain")]));
    let stream = body.write().expect("the stream is taken once");
    let _ = stream.blocking_write_and_flush(b"first chunk\n");
    wait();
}

pub fn spin_body(out: ResponseOutparam) {
    let body = begin(out, 200, fields(&[("content-type", "text/plain")]));
    let stream = body.write().expect("the stream is taken once");
    let _ = stream.blocking_write_and_flush(b"first chunk\n");
    spin();
}

/// A failed write does not stop it: only the host can.
pub fn endless_body(out: ResponseOutparam) {
    let body = begin(out, 200, fields(&[("content-type", "application/octet-stream")]));
    let mut stream = body.write().expect("the stream is taken once");
    let chunk = [b'.'; 64 * 1024];
    loop {
        let _ = stream.write_all(&chunk);
    }
}

/// A body that is dropped instead of finished is a broken one.
pub fn drop_body(out: ResponseOutparam) {
    let body = begin(out, 200, fields(&[("content-type", "text/plain")]));
    let stream = body.write().expect("the stream is taken once");
    let _ = stream.blocking_write_and_flush(b"first chunk\n");
}

pub fn wrong_length(out: ResponseOutparam) {
    let headers = fields(&[("content-type", "text/plain"), ("content-length", "1000")]);
    let body = begin(out, 200, headers);
    let stream = body.write().expect("the stream is taken once");
    let _ = stream.blocking_write_and_flush(b"far too short\n");
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Answers with as many fields as the host lets through.
pub fn headers(out: ResponseOutparam) {
    let headers = Fields::new();
    let value = [b'x'; 1000];
    for n in 0..FLOOD_FIELDS {
        if headers.append(&format!("x-flood-{n}"), &value).is_err() {
            break;
        }
    }
    let body = begin(out, 200, headers);
    let _ = OutgoingBody::finish(body, None);
}

/// Has the host copy more in one call than it allocates for one.
pub fn large_host_call(out: ResponseOutparam) {
    let _ = Fields::new().append("x-large", &vec![b'x'; 16 << 20]);
    text(out, 200, "the host copied it");
}

pub fn leak() -> ! {
    loop {
        forget(Fields::new());
        forget(subscribe_duration(FOREVER_NS));
    }
}

pub fn stdout() -> ! {
    let line = "a line that nobody asked for ".repeat(30);
    let mut stdout = std::io::stdout().lock();
    loop {
        let _ = writeln!(stdout, "{line}");
    }
}
