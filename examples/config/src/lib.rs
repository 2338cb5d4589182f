//! What an operator sets reaches the app through `wasi:config`: `/` greets, `/keys` names what is set, `/private`
//! wants the password.

use std::io::Write;

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

use bindings::wasi::config::store;

/// The interface is not among those that `wasip2` brings.
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "configured", generate_all });
}

struct Config;

wasip2::http::proxy::export!(Config);

impl Guest for Config {
    fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        let (status, text) = match request.path_with_query().unwrap_or_default().as_str() {
            "/" => (200, format!("{}!\n", value("greeting").unwrap_or_default())),
            "/keys" => (200, keys()),
            "/private" if is_let_in(&request) => (200, "Come in.\n".to_owned()),
            "/private" => (403, "The header `authorization` does not say the password.\n".to_owned()),
            _ => (404, "There is nothing here.\n".to_owned()),
        };
        respond(response_out, status, &text);
    }
}

fn value(key: &str) -> Option<String> {
    store::get(key).ok().flatten()
}

/// The names alone: among the values is a secret.
fn keys() -> String {
    let mut keys: Vec<String> =
        store::get_all().unwrap_or_default().into_iter().map(|(key, _)| key).collect();
    keys.sort();
    keys.join("\n") + "\n"
}

fn is_let_in(request: &IncomingRequest) -> bool {
    let Some(password) = value("password") else { return false };
    let said = request.headers().get("authorization").into_iter().next().unwrap_or_default();
    // Every byte is looked at, so that the time it takes does not tell how many were right.
    let expected = format!("Bearer {password}").into_bytes();
    said.len() == expected.len() && said.iter().zip(&expected).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

fn respond(response_out: ResponseOutparam, status: u16, text: &str) {
    let headers = Fields::new();
    let _ = headers.append("content-type", b"text/plain");
    let response = OutgoingResponse::new(headers);
    let _ = response.set_status_code(status);
    let Ok(body) = response.body() else { return };
    ResponseOutparam::set(response_out, Ok(response));

    let Ok(mut stream) = body.write() else { return };
    let _ = stream.write_all(text.as_bytes());
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}
