//! Behaviour that ends in an answer, to show what the host did or allowed.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use wasip2::clocks::monotonic_clock;
use wasip2::http::types::{Fields, IncomingRequest, Method, OutgoingBody, ResponseOutparam, Scheme};
use wasip2::io::streams::StreamError;

use crate::answer::{begin, fields, json, quote, text};

const NS_PER_MS: u64 = 1_000_000;

pub fn sleep(ms: u64) {
    monotonic_clock::subscribe_duration(ms.saturating_mul(NS_PER_MS)).block();
}

pub fn compute(ms: u64) {
    let end = monotonic_clock::now() + ms * NS_PER_MS;
    while monotonic_clock::now() < end {
        // Many rounds between two looks at the clock: this is about computing, not about calling the host.
        for n in 0..100_000u64 {
            black_box(n.wrapping_mul(n));
        }
    }
}

pub fn allocate(mb: u64) {
    drop(black_box(vec![1u8; (mb as usize) << 20]));
}

/// Counts the requests that this very instance has seen.
pub fn count(out: ResponseOutparam) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    text(out, 200, &(COUNT.fetch_add(1, Ordering::Relaxed) + 1).to_string());
}

pub fn big_headers(out: ResponseOutparam, n: u64) {
    let headers = Fields::new();
    match headers.append("x-big", &vec![b'x'; n as usize]) {
        Ok(()) => {
            let _ = OutgoingBody::finish(begin(out, 200, headers), None);
        }
        Err(error) => text(out, 500, &format!("the host refused the field: {error:?}")),
    }
}

pub fn trailers(out: ResponseOutparam) {
    let body = begin(out, 200, fields(&[("content-type", "text/plain"), ("trailer", "x-checksum")]));
    let stream = body.write().expect("the stream is taken once");
    let _ = stream.blocking_write_and_flush(b"body before trailers\n");
    drop(stream);
    let _ = OutgoingBody::finish(body, Some(fields(&[("x-checksum", "42")])));
}

/// An object of the environment that the guest can see. It should hold nothing of the node's.
pub fn environment(out: ResponseOutparam) {
    let pairs: Vec<_> = std::env::vars_os()
        .map(|(key, value)| format!("{}:{}", quote(&key.to_string_lossy()), quote(&value.to_string_lossy())))
        .collect();
    json(out, &format!("{{{}}}", pairs.join(",")));
}

pub fn request(request: &IncomingRequest, out: ResponseOutparam) {
    let method = match request.method() {
        Method::Other(name) => name,
        known => format!("{known:?}").trim_start_matches("Method::").to_uppercase(),
    };
    let scheme = request.scheme().map(|scheme| match scheme {
        Scheme::Http => "http".to_owned(),
        Scheme::Https => "https".to_owned(),
        Scheme::Other(name) => name,
    });
    let mut headers = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in request.headers().entries() {
        headers.entry(name).or_default().push(quote(&String::from_utf8_lossy(&value)));
    }

    let mut answer = format!("{{\"method\":{}", quote(&method));
    for (key, value) in [
        ("path_with_query", request.path_with_query()),
        ("scheme", scheme),
        ("authority", request.authority()),
    ] {
        let value = value.map_or("null".to_owned(), |value| quote(&value));
        let _ = write!(answer, ",\"{key}\":{value}");
    }
    let headers: Vec<_> =
        headers.iter().map(|(name, values)| format!("{}:[{}]", quote(name), values.join(","))).collect();
    let _ = write!(answer, ",\"headers\":{{{}}}", headers.join(","));
    let _ = match body_length(request) {
        Ok(length) => write!(answer, ",\"body_length\":{length}}}"),
        Err(error) => write!(answer, ",\"body_error\":{}}}", quote(&error)),
    };
    json(out, &answer);
}

fn body_length(request: &IncomingRequest) -> Result<u64, String> {
    let body = request.consume().map_err(|()| "consumed already".to_owned())?;
    let stream = body.stream().map_err(|()| "streamed already".to_owned())?;
    let mut length = 0;
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(chunk) => length += chunk.len() as u64,
            Err(StreamError::Closed) => return Ok(length),
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
}
