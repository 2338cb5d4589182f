//! What `spin new -t http-rust` gives, and a path that is looked at.

use spin_sdk::http::{IntoResponse, Request, StatusCode};
use spin_sdk::http_service;

#[http_service]
async fn handle_spin_project(request: Request) -> anyhow::Result<impl IntoResponse> {
    println!("Handling request to {:?}", request.uri().path());
    match request.uri().path() {
        "/" => Ok((StatusCode::OK, "Hello, Spin!".to_owned())),
        path => Ok((StatusCode::NOT_FOUND, format!("there is no {path}"))),
    }
}
