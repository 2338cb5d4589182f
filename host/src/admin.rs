//! The admin port: API, health and metrics, on the control plane's own async runtime.

mod send_deadline;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::ingress::{Ingress, metrics_text};
use crate::lifecycle::Lifecycle;
use send_deadline::{SEND_STALL, SendDeadline};

/// People, scripts and scrapers; far fewer than the clients of apps.
const CONNECTIONS_MAX: usize = 1_000;

const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// What health and metrics read.
#[derive(Clone)]
pub struct Vitals {
    pub lifecycle: Arc<Lifecycle>,
    pub ingress: Arc<Ingress>,
    pub metrics: PrometheusHandle,
}

/// Health and metrics; neither needs a token, and neither waits for a dependency.
pub fn vitals_router(vitals: Vitals) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(vitals)
}

async fn readyz(State(vitals): State<Vitals>) -> impl IntoResponse {
    match (vitals.lifecycle.is_ready(), vitals.lifecycle.is_draining()) {
        (true, _) => (StatusCode::OK, "ready\n"),
        (false, true) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "loading the active releases\n"),
    }
}

async fn metrics(State(vitals): State<Vitals>) -> impl IntoResponse {
    let text = vitals.metrics.render() + &metrics_text(&vitals.ingress);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// Serves until the node ends. Unlike `axum::serve`, with a deadline for a request's head.
pub async fn serve(listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let router = router.clone();
        tokio::spawn(async move {
            let _place = place;
            let _ = stream.set_nodelay(true);
            let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
            builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
            let service = TowerToHyperService::new(router);
            let stream = SendDeadline::new(stream, SEND_STALL);
            if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!("an admin connection ended: {error}");
            }
        });
    }
}

async fn pause_after(error: &io::Error) {
    tracing::warn!("accepting an admin connection failed: {error}");
    tokio::time::sleep(Duration::from_millis(50)).await;
}
