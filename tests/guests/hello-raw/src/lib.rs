//! What `examples/hello-sdk` does, as its author would write it on bindings alone: two paths, a problem for all others,
//! and for methods that the paths do not know.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct HelloRaw;

wasip2::http::proxy::export!(HelloRaw);

impl Guest for HelloRaw {
    fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_else(|| "/".to_owned());
        let path = target.split('?').next().unwrap_or_default();
        let greeting = match (path, path.strip_prefix("/hello/")) {
            ("/", _) => Some("Hello, world!\n".to_owned()),
            (_, Some(name)) if !name.is_empty() && !name.contains('/') => Some(format!("Hello, {name}!\n")),
            _ => None,
        };
        let Some(greeting) = greeting else {
            return problem(404, &[], "Not Found", response_out);
        };
        match request.method() {
            Method::Get | Method::Head => {
                answer(200, &[], "text/plain; charset=utf-8", &greeting, response_out)
            }
            _ => problem(405, &[("allow", "GET, HEAD")], "Method Not Allowed", response_out),
        }
    }
}

fn problem(status: u16, headers: &[(&str, &str)], title: &str, response_out: ResponseOutparam) {
    let document = format!(r#"{{"type":"about:blank","title":"{title}","status":{status}}}"#);
    answer(status, headers, "application/problem+json", &document, response_out);
}

fn answer(status: u16, headers: &[(&str, &str)], kind: &str, text: &str, response_out: ResponseOutparam) {
    let fields = Fields::new();
    for (name, value) in headers.iter().chain([&("content-type", kind)]) {
        let _ = fields.append(name, value.as_bytes());
    }
    let response = OutgoingResponse::new(fields);
    let _ = response.set_status_code(status);
    let Ok(body) = response.body() else { return };
    ResponseOutparam::set(response_out, Ok(response));

    let Ok(stream) = body.write() else { return };
    let _ = stream.blocking_write_and_flush(text.as_bytes());
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}
