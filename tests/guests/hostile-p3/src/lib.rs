//! Misbehaviour over WASI 0.3, chosen by the path: what differs from 0.2 on the host's side.

mod talk;

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use wasip3::clocks::monotonic_clock::{now, wait_for};
use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{wit_bindgen, wit_future, wit_stream};

const NS_PER_MS: u64 = 1_000_000;

/// About a hundred and fifty years: longer than any deadline, and no overflow in any host.
const FOREVER_NS: u64 = 1 << 62;

/// Pieces of a body, each after a pause.
type Pieces = Vec<(u64, Vec<u8>)>;

/// What a body does when all its pieces are written.
enum Then {
    End,
    Wait,
    Spin,
    Trap,
}

struct Hostile;

wasip3::http::service::export!(Hostile);

impl Guest for Hostile {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let first = || vec![(0, b"first chunk\n".to_vec())];
        match path {
            "/" | "/ok" => {}
            "/loop" => spin(),
            "/trap" => core::arch::wasm32::unreachable(),
            "/memory" => memory(),
            "/never" => wait_for(FOREVER_NS).await,
            "/error" => return Err(ErrorCode::InternalError(Some("on purpose".to_owned()))),
            "/hang-body" => return respond(first(), Then::Wait),
            "/spin-body" => return respond(first(), Then::Spin),
            "/trap-body" => return respond(first(), Then::Trap),
            "/stream" => return respond(pieces(query), Then::End),
            "/count" => return respond(vec![(0, count().to_string().into_bytes())], Then::End),
            "/slow" => wait_for(number(query, "ms", 100) * NS_PER_MS).await,
            "/cpu" => compute(number(query, "ms", 100)),
            "/stderr-line" => eprintln!("marker-{query}"),
            "/say" => talk::say(query),
            "/panic" => panic!("a guest panics on purpose"),
            "/trailers" => return with_trailers(),
            "/request" => return respond(vec![(0, describe(&request).into_bytes())], Then::End),
            "/length" => return respond(vec![(0, length(request).await.into_bytes())], Then::End),
            _ => return respond(vec![(0, b"no such behaviour".to_vec())], Then::End),
        }
        respond(vec![(0, b"ok".to_vec())], Then::End)
    }
}

fn respond(pieces: Pieces, then: Then) -> Result<Response, ErrorCode> {
    let headers = Fields::new();
    let _ = headers.append("content-type", b"text/plain");
    let (mut body, body_reader) = wit_stream::new();
    let (_, trailers_reader) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(headers, Some(body_reader), trailers_reader);
    wit_bindgen::spawn_local(async move {
        for (pause_ms, piece) in pieces {
            if pause_ms > 0 {
                wait_for(pause_ms * NS_PER_MS).await;
            }
            if !body.write_all(piece).await.is_empty() {
                return;
            }
        }
        match then {
            Then::End => {}
            Then::Wait => wait_for(FOREVER_NS).await,
            Then::Spin => spin(),
            Then::Trap => core::arch::wasm32::unreachable(),
        }
    });
    Ok(response)
}

fn with_trailers() -> Result<Response, ErrorCode> {
    let headers = Fields::new();
    let _ = headers.append("trailer", b"x-checksum");
    let (mut body, body_reader) = wit_stream::new();
    let (trailers, trailers_reader) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(headers, Some(body_reader), trailers_reader);
    wit_bindgen::spawn_local(async move {
        body.write_all(b"body before trailers\n".to_vec()).await;
        drop(body);
        let fields = Fields::new();
        let _ = fields.append("x-checksum", b"42");
        let _ = trailers.write(Ok(Some(fields))).await;
    });
    Ok(response)
}

fn pieces(query: &str) -> Pieces {
    let interval_ms = number(query, "interval_ms", 100);
    (1..=number(query, "count", 5)).map(|n| (interval_ms, format!("data: {n}\n\n").into_bytes())).collect()
}

fn spin() {
    loop {
        std::hint::spin_loop();
    }
}

fn memory() {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1u8; 1 << 20]));
    }
}

fn compute(ms: u64) {
    let end = now() + ms * NS_PER_MS;
    while now() < end {
        for n in 0..100_000u64 {
            black_box(n.wrapping_mul(n));
        }
    }
}

/// Counts the requests that this very instance has seen.
fn count() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed) + 1
}

fn describe(request: &Request) -> String {
    let headers = request.get_headers().copy_all();
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))).collect();
    format!(
        "{:?} {:?} {:?} {:?}\n{}\n",
        request.get_method(),
        request.get_scheme(),
        request.get_authority(),
        request.get_path_with_query(),
        headers.join("\n")
    )
}

async fn length(request: Request) -> String {
    let (_, done) = wit_future::new(|| Ok(()));
    let (body, trailers) = Request::consume_body(request, done);
    let length = body.collect().await.len();
    match trailers.await {
        Ok(_) => format!("length {length}"),
        Err(error) => format!("error {error:?}"),
    }
}

fn number(query: &str, name: &str, default: u64) -> u64 {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(key, _)| *key == name);
    found.and_then(|(_, value)| value.parse().ok()).unwrap_or(default)
}
