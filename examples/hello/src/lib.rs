//! The smallest app: every request is answered with one sentence.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

const GREETING: &str = "Hello, world!\n";

struct Hello;

wasip2::http::proxy::export!(Hello);

impl Guest for Hello {
    fn handle(_request: IncomingRequest, response_out: ResponseOutparam) {
        let headers = Fields::new();
        let _ = headers.append("content-type", b"text/plain");
        let response = OutgoingResponse::new(headers);
        let Ok(body) = response.body() else { return };
        ResponseOutparam::set(response_out, Ok(response));

        let Ok(stream) = body.write() else { return };
        let _ = stream.blocking_write_and_flush(GREETING.as_bytes());
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}
