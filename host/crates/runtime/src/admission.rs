//! The bounded queue in front of the instances: first the app's own limit, then the node's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use typecase_model::Limits;

use crate::error::{CallError, CallErrorKind};

/// Decides who may have an instance. One per app; all share the node's part.
#[derive(Debug)]
pub struct Admission {
    app: Semaphore,
    node: Arc<Semaphore>,
    waiting: AtomicU32,
    queue_max: u32,
    wait_max: Duration,
    concurrency: u32,
}

/// The right to one instance; given back on drop.
///
/// Holds the app's own count alone: all threads would fight for a count of who holds the node's semaphore.
#[derive(Debug)]
pub struct Permit(Arc<Admission>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.app.add_permits(1);
        self.0.node.add_permits(1);
    }
}

impl Admission {
    pub fn new(limits: &Limits, node: Arc<Semaphore>) -> Arc<Self> {
        Arc::new(Self {
            app: Semaphore::new(limits.concurrency as usize),
            node,
            waiting: AtomicU32::new(0),
            queue_max: limits.queue,
            wait_max: Duration::from_millis(u64::from(limits.timeout_ms)),
            concurrency: limits.concurrency,
        })
    }

    /// Requests that have an instance now.
    pub fn running(&self) -> u32 {
        self.concurrency.saturating_sub(self.app.available_permits() as u32)
    }

    /// Requests that wait for one.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits for an instance, in the order of arrival, within the queue's bounds.
    ///
    /// Refuses with `Overloaded` when the queue is full or the wait reaches the app's `timeout_ms`.
    pub async fn admit(self: &Arc<Self>) -> Result<Permit, CallError> {
        if let Ok(app) = self.app.try_acquire()
            && let Ok(node) = self.node.try_acquire()
        {
            return Ok(self.permit(app, node));
        }
        let _place = Place::take(&self.waiting, self.queue_max)?;
        let both = async {
            let app = self.app.acquire().await;
            let node = self.node.acquire().await;
            (app, node)
        };
        match tokio::time::timeout(self.wait_max, both).await {
            Ok((Ok(app), Ok(node))) => Ok(self.permit(app, node)),
            Ok(_) => Err(CallError::new(CallErrorKind::Overloaded, "the node is shutting down")),
            Err(_) => Err(CallError::new(
                CallErrorKind::Overloaded,
                "no instance became free within the app's timeout_ms",
            )),
        }
    }

    fn permit(self: &Arc<Self>, app: SemaphorePermit<'_>, node: SemaphorePermit<'_>) -> Permit {
        app.forget();
        node.forget();
        Permit(self.clone())
    }
}

/// One place in the queue; given back on drop, also when the client leaves.
struct Place<'a>(&'a AtomicU32);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicU32, queue_max: u32) -> Result<Self, CallError> {
        if waiting.fetch_add(1, Ordering::Relaxed) >= queue_max {
            waiting.fetch_sub(1, Ordering::Relaxed);
            let detail = format!("the app's queue of {queue_max} requests is full");
            return Err(CallError::new(CallErrorKind::Overloaded, detail));
        }
        Ok(Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
