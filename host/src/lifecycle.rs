//! Where a node stands between its start and its end; read by health checks and by every response.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

/// The node's phases, each entered once: starting, ready, draining, closed to new connections.
#[derive(Debug, Default)]
pub struct Lifecycle {
    loaded: AtomicBool,
    draining: AtomicBool,
    /// Cancelled when the listeners close and connections finish what they have.
    pub closing: CancellationToken,
}

impl Lifecycle {
    /// All active releases are loaded.
    pub fn set_loaded(&self) {
        self.loaded.store(true, Ordering::Release);
    }

    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Readiness fails from now on, while everything is still served.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// True while load balancers should send requests here.
    pub fn is_ready(&self) -> bool {
        self.is_loaded() && !self.is_draining()
    }
}
