//! The data plane: app traffic, from a socket to a component or an asset and back.
//!
//! The files are a request's phases in order: `listener`, `connection`, `caller`, `cork` and `watch` (sockets), `service` (one
//! request, top to bottom), `routes` (which app), `forwarded` (who asks, and how the app is told),
//! `dispatch` (asset or component), `body` and `stream` (the answer on its way), `access_log` and
//! `metrics`. Nothing here waits for the database, Redis or shared storage.

mod access_log;
mod body;
mod caller;
mod connection;
mod cork;
mod dispatch;
mod error_page;
mod forwarded;
mod listener;
mod metrics;
mod routes;
mod service;
mod stream;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

pub use access_log::AccessLogWriter;
pub use cork::before_guest;
pub use dispatch::{HealthError, check_health};
pub use listener::serve;
pub use metrics::{AppMetrics, DURATION_BUCKETS_S, text as metrics_text};
pub use routes::{AppRoute, LiveRelease, RouteTable};

use crate::config::{IngressConfig, LimitsConfig};
use crate::lifecycle::Lifecycle;
use crate::settings::LiveSettings;
use access_log::AccessLog;
use forwarded::Forwarding;
use metrics::Metrics;

/// What all requests of a node share.
pub struct Ingress {
    pub routes: ArcSwap<RouteTable>,
    pub metrics: Metrics,
    forwarding: Forwarding,
    base_domain: Option<String>,
    access_log: AccessLog,
    lifecycle: Arc<Lifecycle>,
    connections: Arc<Semaphore>,
    timeouts: Timeouts,
    header_bytes_max: usize,
}

#[derive(Debug, Clone, Copy)]
struct Timeouts {
    header: Duration,
    idle: Duration,
}

impl Ingress {
    pub fn new(
        config: &IngressConfig,
        limits: &LimitsConfig,
        access_log: &AccessLogWriter,
        lifecycle: Arc<Lifecycle>,
        settings: Arc<LiveSettings>,
    ) -> Self {
        Self {
            routes: ArcSwap::default(),
            metrics: Metrics::default(),
            forwarding: Forwarding::new(settings),
            base_domain: config.base_domain.clone(),
            access_log: access_log.handle(),
            lifecycle,
            connections: Arc::new(Semaphore::new(limits.connections_max as usize)),
            timeouts: Timeouts {
                header: Duration::from_millis(u64::from(limits.header_timeout_ms)),
                idle: Duration::from_millis(u64::from(limits.idle_timeout_ms)),
            },
            header_bytes_max: limits.header_bytes_max as usize,
        }
    }
}
