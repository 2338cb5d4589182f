//! The ceiling: axum answering from native code, without a sandbox. Its argument is the address to listen on.

use anyhow::{Context, Result};
use axum::Router;
use axum::routing::get;

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).context("usage: native-hello ADDRESS")?;
    let app = Router::new().route("/", get(|| async { "Hello, world!\n" }));
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, app).await?;
    Ok(())
}
