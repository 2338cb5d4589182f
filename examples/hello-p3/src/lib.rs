//! The smallest app again, over WASI 0.3: the handler is an async function.

use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{wit_bindgen, wit_future, wit_stream};

const GREETING: &str = "Hello, world!\n";

struct Hello;

wasip3::http::service::export!(Hello);

impl Guest for Hello {
    async fn handle(_request: Request) -> Result<Response, ErrorCode> {
        let headers = Fields::new();
        let _ = headers.append("content-type", b"text/plain");

        let (mut body, body_reader) = wit_stream::new();
        // Dropping the writer says that there are no trailers.
        let (_, trailers_reader) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(headers, Some(body_reader), trailers_reader);

        // The body is read only after the response has been returned.
        wit_bindgen::spawn_local(async move {
            body.write_all(GREETING.as_bytes().to_vec()).await;
        });
        Ok(response)
    }
}
