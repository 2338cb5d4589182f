//! A release that must never become active: every answer, its health check's too, is a 500.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Unhealthy;

wasip2::http::proxy::export!(Unhealthy);

impl Guest for Unhealthy {
    fn handle(_request: IncomingRequest, out: ResponseOutparam) {
        let response = OutgoingResponse::new(Fields::new());
        response.set_status_code(500).expect("500 is a status");
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        let _ = stream.blocking_write_and_flush(b"unhealthy\n");
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}
