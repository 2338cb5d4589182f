//! Tries one outgoing request and tells how it went: `{"status":200}` or `{"error":"..."}`.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{ErrorCode, Fields, OutgoingRequest, ResponseOutparam, Scheme};

use crate::answer::{json, parameter, quote};

/// `url` is the last parameter and may be percent-encoded.
pub fn call(out: ResponseOutparam, query: &str) {
    let url = match query.split_once("url=") {
        Some((_, rest)) if parameter(query, "url").is_some() => decode(rest),
        _ => "http://127.0.0.1:1/".to_owned(),
    };
    match status(&url) {
        Ok(status) => json(out, &format!("{{\"status\":{status}}}")),
        Err(error) => json(out, &format!("{{\"error\":{}}}", quote(&error))),
    }
}

fn status(url: &str) -> Result<u16, String> {
    let (scheme, rest) = url.split_once("://").ok_or("the url has no scheme")?;
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&scheme)).map_err(|()| "the host refused the scheme")?;
    request.set_authority(Some(authority)).map_err(|()| "the host refused the authority")?;
    request.set_path_with_query(Some(path)).map_err(|()| "the host refused the path")?;

    let refused = |code: ErrorCode| format!("{code:?}");
    let future = outgoing_handler::handle(request, None).map_err(refused)?;
    future.subscribe().block();
    let response = future.get().ok_or("ready, but nothing there")?;
    let response = response.map_err(|()| "taken twice")?.map_err(refused)?;
    Ok(response.status())
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|hex| str::from_utf8(hex).ok());
        let byte = code.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
