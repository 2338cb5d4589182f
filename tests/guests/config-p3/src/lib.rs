//! Answers with how many requests this instance has seen and with all of its config, over WASI 0.3. Without a secret
//! to keep: it is for tests alone.

use std::sync::atomic::{AtomicU64, Ordering};

use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{wit_bindgen, wit_future, wit_stream};

use bindings::wasi::config::store;

mod bindings {
    wasip3::wit_bindgen::generate!({
        path: "wit",
        world: "configured",
        generate_all,
        runtime_path: "wasip3::wit_bindgen::rt",
    });
}

struct Config;

wasip3::http::service::export!(Config);

impl Guest for Config {
    async fn handle(_request: Request) -> Result<Response, ErrorCode> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
        let mut values: Vec<String> = store::get_all()
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        values.sort();
        let answer = format!("{count} {}", values.join(","));

        let (mut body, body_reader) = wit_stream::new();
        let (_, trailers_reader) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(Fields::new(), Some(body_reader), trailers_reader);
        wit_bindgen::spawn_local(async move {
            body.write_all(answer.into_bytes()).await;
        });
        Ok(response)
    }
}
