//! Three streams: `GET /events?count=&interval_ms=`, `POST /echo` and `GET /bytes?n=`.
//! The page that shows them lies in `assets/` and is served by the host.

use std::io::Write;

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

const EVENTS_MAX: u64 = 1_000_000;
const INTERVAL_MS_MAX: u64 = 60_000;
const BYTES_MAX: u64 = 1 << 40;
const CHUNK_BYTES: usize = 64 * 1024;

struct Stream;

wasip2::http::proxy::export!(Stream);

impl Guest for Stream {
    fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match (request.method(), path) {
            (Method::Get, "/events") => events(response_out, query),
            (Method::Post, "/echo") => echo(&request, response_out),
            (Method::Get | Method::Head, "/bytes") => bytes(response_out, query),
            _ => not_found(response_out),
        }
    }
}

fn events(response_out: ResponseOutparam, query: &str) {
    let count = number(query, "count", 5).min(EVENTS_MAX);
    let interval_ms = number(query, "interval_ms", 200).min(INTERVAL_MS_MAX);
    let headers = [("content-type", "text/event-stream"), ("cache-control", "no-cache")];
    let Some(body) = respond(response_out, 200, &headers) else { return };
    let Ok(stream) = body.write() else { return };
    for n in 1..=count {
        // A failed write means that the client has left.
        if stream.blocking_write_and_flush(format!("data: {n}\n\n").as_bytes()).is_err() {
            return;
        }
        if n < count {
            subscribe_duration(interval_ms * 1_000_000).block();
        }
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

fn echo(request: &IncomingRequest, response_out: ResponseOutparam) {
    let Ok(incoming) = request.consume() else { return };
    let Ok(input) = incoming.stream() else { return };
    let request_headers = request.headers();
    // HTTP/1.1 sends only those trailers that the header announced.
    let kept = ["content-type", "trailer"].map(|name| (name, request_headers.get(name).concat()));
    let headers: Vec<_> = kept
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, value)| Some((*name, str::from_utf8(value).ok()?)))
        .collect();
    let Some(body) = respond(response_out, 200, &headers) else { return };
    let Ok(output) = body.write() else { return };
    // The host moves the bytes from one stream to the other; none of them comes through this memory.
    while output.blocking_splice(&input, CHUNK_BYTES as u64).is_ok() {}
    drop((input, output));

    let future = IncomingBody::finish(incoming);
    future.subscribe().block();
    // A body that broke off leaves no trailers, and the answer breaks off like it.
    if let Some(Ok(Ok(trailers))) = future.get() {
        let _ = OutgoingBody::finish(body, trailers);
    }
}

fn bytes(response_out: ResponseOutparam, query: &str) {
    let n = number(query, "n", 1024).min(BYTES_MAX);
    let length = n.to_string();
    let headers = [("content-type", "application/octet-stream"), ("content-length", &length)];
    let Some(body) = respond(response_out, 200, &headers) else { return };
    let Ok(mut stream) = body.write() else { return };
    let chunk = vec![b'.'; CHUNK_BYTES];
    let mut left = n;
    while left > 0 {
        let length = left.min(CHUNK_BYTES as u64);
        if stream.write_all(&chunk[..length as usize]).is_err() {
            return;
        }
        left -= length;
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

fn not_found(response_out: ResponseOutparam) {
    if let Some(body) = respond(response_out, 404, &[]) {
        let _ = OutgoingBody::finish(body, None);
    }
}

fn respond(out: ResponseOutparam, status: u16, headers: &[(&str, &str)]) -> Option<OutgoingBody> {
    let fields = Fields::new();
    for (name, value) in headers {
        let _ = fields.append(name, value.as_bytes());
    }
    let response = OutgoingResponse::new(fields);
    let _ = response.set_status_code(status);
    let body = response.body().ok();
    ResponseOutparam::set(out, Ok(response));
    body
}

fn number(query: &str, name: &str, default: u64) -> u64 {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(key, _)| *key == name);
    found.and_then(|(_, value)| value.parse().ok()).unwrap_or(default)
}
