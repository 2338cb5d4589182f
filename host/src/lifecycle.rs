//! Where a node stands between its start and its end; read by health checks and by every response.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

/// The node's phases, each entered once: starting, ready, draining, closed to new connections.
#[derive(Debug, Default)]
pub struct Lifecycle {
    loaded: AtomicBool,
    draining: AtomicBool,
    /// Draining because the operator wants it so; may be taken back.
    set_aside: AtomicBool,
    /// Cancelled when the listeners close; connections go on.
    pub closing: CancellationToken,
    /// Cancelled after that, when connections end with what they have.
    pub parting: CancellationToken,
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

    /// What the operator wants: the same as draining, without an end. True when this is news.
    pub fn set_aside(&self, set_aside: bool) -> bool {
        self.set_aside.swap(set_aside, Ordering::AcqRel) != set_aside
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire) || self.set_aside.load(Ordering::Acquire)
    }

    /// True while load balancers should send requests here.
    pub fn is_ready(&self) -> bool {
        self.is_loaded() && !self.is_draining()
    }
}
