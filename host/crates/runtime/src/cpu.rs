//! How long a request has computed: what `cpu_ms` limits. Waiting, for a client or a clock, does not count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// When this process began to count: a reading of the clock less for each request than an origin of its own.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// In place of a time: the guest waits.
const WAITING: u64 = u64::MAX;

/// The clock of one request. It runs while whoever polls the guest says so; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct CpuMeter(Arc<Readings>);

#[derive(Debug)]
struct Readings {
    used_ns: AtomicU64,
    /// When the guest went on, in nanoseconds since `ORIGIN`.
    since_ns: AtomicU64,
}

impl CpuMeter {
    /// A clock that stands still.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Readings { used_ns: AtomicU64::new(0), since_ns: AtomicU64::new(WAITING) }))
    }

    /// The guest computes from now on.
    pub(crate) fn resume(&self) {
        if self.0.since_ns.load(Ordering::Relaxed) == WAITING {
            self.0.since_ns.store(now_ns(), Ordering::Relaxed);
        }
    }

    /// The guest waits from now on.
    pub(crate) fn pause(&self) {
        let since_ns = self.0.since_ns.swap(WAITING, Ordering::Relaxed);
        if since_ns != WAITING {
            self.0.used_ns.fetch_add(now_ns().saturating_sub(since_ns), Ordering::Relaxed);
        }
    }

    /// Starts the account of the next request.
    pub(crate) fn reset(&self) {
        self.pause();
        self.0.used_ns.store(0, Ordering::Relaxed);
    }

    /// What was computed so far, up to this moment.
    pub(crate) fn used(&self) -> Duration {
        let since_ns = self.0.since_ns.load(Ordering::Relaxed);
        let current_ns = if since_ns == WAITING { 0 } else { now_ns().saturating_sub(since_ns) };
        Duration::from_nanos(self.0.used_ns.load(Ordering::Relaxed) + current_ns)
    }
}

fn now_ns() -> u64 {
    ORIGIN.elapsed().as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(20);

    #[test]
    fn only_time_between_resume_and_pause_counts() {
        let meter = CpuMeter::new();
        std::thread::sleep(STEP);
        assert_eq!(meter.used(), Duration::ZERO);

        meter.resume();
        std::thread::sleep(STEP);
        assert!(meter.used() >= STEP, "a running clock can be read");
        meter.pause();
        let used = meter.used();
        std::thread::sleep(STEP);
        assert_eq!(meter.used(), used);

        meter.reset();
        assert_eq!(meter.used(), Duration::ZERO);
    }
}
