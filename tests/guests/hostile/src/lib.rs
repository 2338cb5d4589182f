//! One component for every kind of misbehaviour: the path chooses which.
//! `harm` never comes to a clean end; `probe` answers, and tells what the host did or allowed.

mod answer;
mod harm;
mod outbound;
mod probe;
mod talk;

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

use crate::answer::{number, text};

struct Hostile;

wasip2::http::proxy::export!(Hostile);

impl Guest for Hostile {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path {
            "/" | "/ok" => text(out, 200, "ok"),
            "/loop" => harm::spin(),
            "/memory" => harm::memory(),
            "/trap" => harm::trap(),
            "/panic" => panic!("a guest panics on purpose"),
            "/recurse" => harm::recurse(out),
            "/never" => harm::wait(),
            "/hang-body" => harm::hang_body(out),
            "/spin-body" => harm::spin_body(out),
            "/endless-body" => harm::endless_body(out),
            "/drop-body" => harm::drop_body(out),
            "/wrong-length" => harm::wrong_length(out),
            "/headers" => harm::headers(out),
            "/leak" => harm::leak(),
            "/hostcall" => harm::large_host_call(out),
            "/stdout" => harm::stdout(),
            "/return-without-response" => drop(out),
            "/stderr-line" => {
                eprintln!("marker-{query}");
                text(out, 200, "written");
            }
            "/say" => {
                talk::say(query);
                text(out, 200, "said");
            }
            "/after" => {
                text(out, 200, "answered");
                probe::compute(number(query, "ms", 1000));
            }
            "/slow" => {
                probe::sleep(number(query, "ms", 100));
                text(out, 200, "slept");
            }
            "/cpu" => {
                probe::compute(number(query, "ms", 100));
                text(out, 200, "computed");
            }
            "/alloc" => {
                probe::allocate(number(query, "mb", 1));
                text(out, 200, "allocated");
            }
            "/status" => text(out, number(query, "code", 200) as u16, "status"),
            "/request" => probe::request(&request, out),
            "/big-headers" => probe::big_headers(out, number(query, "n", 1024)),
            "/count" => probe::count(out),
            "/trailers" => probe::trailers(out),
            "/env" => probe::environment(out),
            "/outbound" => outbound::call(out, query),
            _ => text(out, 404, "no such behaviour"),
        }
    }
}
