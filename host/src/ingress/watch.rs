//! Deadlines of connections: for a head that does not come, for idling, for an answer that nobody reads.
//!
//! They are kept by one sweep per thread, because a timer per request costs more than it guards.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use http::Version;
use tokio::sync::Notify;

use super::stream::Stream;
use super::{Ingress, Timeouts};

/// How long a client may take nothing of what it is sent.
pub const SEND_STALL: Duration = Duration::from_secs(30);

/// Frames that only keep a connection of HTTP/2 alive are smaller.
const H2_CONTROL_BYTES_MAX: usize = 64;

const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// In place of a time: the state is newer than the last sweep, and the next one reads the clock for it.
const SINCE_LAST_SWEEP: u64 = u64::MAX;

/// What a connection is doing, for the sweep.
pub struct Watch {
    origin: Instant,
    in_flight: AtomicU32,
    /// Bytes of a request's head have come, but not all. Over h2c only for the first request: there, bytes
    /// come without one too.
    in_head: AtomicBool,
    is_h2: AtomicBool,
    /// The kernel takes no more for now; how long that may last is its business, see `SEND_STALL`.
    is_full: AtomicBool,
    /// When a sweep first saw the present state, in milliseconds since `origin`.
    since_ms: AtomicU64,
    /// The connection is over its time, or the node takes its leave.
    attention: Notify,
    /// Answers of guests, over h2c.
    streams: Mutex<Vec<Weak<Stream>>>,
}

/// A request in progress; the connection is not idle while one exists.
pub struct Activity(Arc<Watch>);

/// All connections of one thread.
#[derive(Clone, Default)]
pub struct Watches(Arc<Mutex<Vec<Weak<Watch>>>>);

impl Watch {
    fn enter(&self, in_head: bool) {
        self.in_head.store(in_head, Ordering::Relaxed);
        self.since_ms.store(SINCE_LAST_SWEEP, Ordering::Relaxed);
    }

    /// Bytes came from the client.
    pub fn received(&self) {
        if !self.is_busy() && !self.is_in_head() && !self.is_h2.load(Ordering::Relaxed) {
            self.enter(true);
        }
    }

    /// A request is in progress.
    pub fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    pub fn is_in_head(&self) -> bool {
        self.in_head.load(Ordering::Relaxed)
    }

    pub fn call(&self) {
        self.attention.notify_one();
    }

    /// Resolves when the connection may be over its time, or the node takes its leave of all clients.
    pub async fn attention(&self) {
        self.attention.notified().await;
    }

    /// Whether the kernel holds as much for the client as it will.
    pub fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// An answer that was handed over whole is still being sent, to a client that takes it.
    pub fn sent(&self, written: &Poll<io::Result<usize>>) {
        self.set_full(written.is_pending());
        // Over h2c, pings and acknowledgements are no answer.
        let least = if self.is_h2.load(Ordering::Relaxed) { H2_CONTROL_BYTES_MAX } else { 0 };
        let is_answer = matches!(written, Poll::Ready(Ok(bytes)) if *bytes > least);
        if is_answer && !self.is_busy() && !self.is_in_head() {
            self.enter(false);
        }
    }

    fn streams(&self) -> MutexGuard<'_, Vec<Weak<Stream>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_stalled_streams(&self) {
        if self.is_h2.load(Ordering::Relaxed) {
            self.streams().retain(|stream| {
                stream.upgrade().is_some_and(|stream| {
                    stream.end_if_stalled(SEND_STALL);
                    true
                })
            });
        }
    }

    pub fn is_expired(&self, timeouts: &Timeouts) -> bool {
        if self.is_busy() || self.is_full.load(Ordering::Relaxed) {
            return false;
        }
        let allowed = if self.is_in_head() { timeouts.header } else { timeouts.idle };
        let now_ms = self.origin.elapsed().as_millis() as u64;
        match self.since_ms.load(Ordering::Relaxed) {
            SINCE_LAST_SWEEP => {
                self.since_ms.store(now_ms, Ordering::Relaxed);
                false
            }
            since_ms => now_ms.saturating_sub(since_ms) > allowed.as_millis() as u64,
        }
    }
}

impl Activity {
    pub fn start(watch: &Arc<Watch>, version: Version) -> Self {
        watch.is_h2.store(version == Version::HTTP_2, Ordering::Relaxed);
        watch.in_flight.fetch_add(1, Ordering::Relaxed);
        watch.in_head.store(false, Ordering::Relaxed);
        Self(watch.clone())
    }

    /// Has the sweep look after an answer, too.
    pub fn follow(&self, stream: &Arc<Stream>) {
        self.0.streams().push(Arc::downgrade(stream));
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.0.enter(false);
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watches {
    /// Calls for the attention of connections that expired, and once of all, when the node takes its leave: a connection that
    /// waited for this by itself would ask at each of its requests. Goes on for as long as the thread serves.
    pub async fn sweep(self, ingress: Arc<Ingress>) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        let mut parting = std::pin::pin!(ingress.lifecycle.parting.cancelled());
        let mut is_parting = false;
        loop {
            let parts_now = tokio::select! {
                _ = ticks.tick() => false,
                () = parting.as_mut(), if !is_parting => true,
            };
            is_parting |= parts_now;
            ingress.access_log.flush();
            let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            watches.retain(|watch| match watch.upgrade() {
                Some(watch) => {
                    watch.end_stalled_streams();
                    if parts_now || watch.is_expired(&ingress.timeouts) {
                        watch.call();
                    }
                    true
                }
                None => false,
            });
        }
    }

    /// Starts to watch a new connection.
    pub fn watch(&self) -> Arc<Watch> {
        let watch = Arc::new(Watch {
            origin: Instant::now(),
            in_flight: AtomicU32::new(0),
            // A fresh connection owes its first head.
            in_head: AtomicBool::new(true),
            is_h2: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            since_ms: AtomicU64::new(0),
            attention: Notify::new(),
            streams: Mutex::default(),
        });
        let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watches.push(Arc::downgrade(&watch));
        watch
    }
}
