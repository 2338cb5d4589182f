//! What both kinds of behaviour need to answer at all.

use std::io::Write;

use wasip2::http::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam};

pub fn begin(out: ResponseOutparam, status: u16, headers: Fields) -> OutgoingBody {
    let response = OutgoingResponse::new(headers);
    if response.set_status_code(status).is_err() {
        panic!("the host refused the status {status}");
    }
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    body
}

pub fn fields(pairs: &[(&str, &str)]) -> Fields {
    let fields = Fields::new();
    for (name, value) in pairs {
        fields.append(name, value.as_bytes()).expect("the host accepts the field");
    }
    fields
}

pub fn text(out: ResponseOutparam, status: u16, body: &str) {
    finish(begin(out, status, fields(&[("content-type", "text/plain")])), body.as_bytes());
}

pub fn json(out: ResponseOutparam, body: &str) {
    finish(begin(out, 200, fields(&[("content-type", "application/json")])), body.as_bytes());
}

/// The client may have left; a guest that means no harm ends quietly then.
fn finish(body: OutgoingBody, bytes: &[u8]) {
    let mut stream = body.write().expect("the stream is taken once");
    let _ = stream.write_all(bytes);
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

pub fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

pub fn number(query: &str, name: &str, default: u64) -> u64 {
    parameter(query, name).and_then(|value| value.parse().ok()).unwrap_or(default)
}

pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
