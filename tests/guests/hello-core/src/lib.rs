//! Built for wasm32-wasip1: the result is no component but a core module, which imports WASI 0.1 and carries
//! the description of its world in a custom section. The server makes a component of it.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

const GREETING: &str = "Hello from a core module!\n";

struct Hello;

wasip2::http::proxy::export!(Hello);

impl Guest for Hello {
    fn handle(_request: IncomingRequest, response_out: ResponseOutparam) {
        // The standard library reaches stderr through WASI 0.1 here, that is through the adapter.
        eprintln!("hello-core takes a request");

        let headers = Fields::new();
        let _ = headers.append("content-type", b"text/plain");
        let response = OutgoingResponse::new(headers);
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(response_out, Ok(response));

        let stream = body.write().expect("the stream is taken once");
        let _ = stream.blocking_write_and_flush(GREETING.as_bytes());
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}
