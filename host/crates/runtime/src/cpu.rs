//! How long a request has computed: what `cpu_ms` limits. Waiting, for a client or a clock, does not count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// When this process began to count: a reading of the clock less for each request than an origin of its own.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// In place of a time: the guest waits.
const WAITING: u64 = u64::MAX;

/// In place of the thread's computing time: nobody asked the kernel for it.
const UNKNOWN: u64 = u64::MAX;

/// The clock of one request. It runs while whoever polls the guest says so; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct CpuMeter(Arc<Readings>);

#[derive(Debug)]
struct Readings {
    used_ns: AtomicU64,
    /// When the guest went on, in nanoseconds since `ORIGIN`.
    since_ns: AtomicU64,
    /// What its thread had computed by then.
    since_cpu_ns: AtomicU64,
}

impl CpuMeter {
    /// A clock that stands still.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Readings {
            used_ns: AtomicU64::new(0),
            since_ns: AtomicU64::new(WAITING),
            since_cpu_ns: AtomicU64::new(UNKNOWN),
        }))
    }

    /// The guest computes from now on. Most are done before the next tick, so asking the kernel would not be worth its
    /// cost: until then, time that passes counts.
    pub(crate) fn resume(&self) {
        if self.0.since_ns.load(Ordering::Relaxed) == WAITING {
            self.0.since_cpu_ns.store(UNKNOWN, Ordering::Relaxed);
            self.0.since_ns.store(now_ns(), Ordering::Relaxed);
        }
    }

    /// The guest computes from now on, for long: only what its thread really computes counts, so that a guest on a busy
    /// machine does not pay for others.
    pub(crate) fn resume_exactly(&self) {
        self.0.since_cpu_ns.store(thread_cpu_ns(), Ordering::Relaxed);
        self.0.since_ns.store(now_ns(), Ordering::Relaxed);
    }

    /// The guest waits from now on.
    pub(crate) fn pause(&self) {
        let current_ns = self.current_ns();
        self.0.since_ns.store(WAITING, Ordering::Relaxed);
        self.0.used_ns.fetch_add(current_ns, Ordering::Relaxed);
    }

    /// Starts the account of the next request.
    pub(crate) fn reset(&self) {
        self.pause();
        self.0.used_ns.store(0, Ordering::Relaxed);
    }

    /// What was computed so far, up to this moment.
    pub(crate) fn used(&self) -> Duration {
        Duration::from_nanos(self.0.used_ns.load(Ordering::Relaxed) + self.current_ns())
    }

    /// What was computed since the guest went on; 0 while it waits. Must be called on the guest's own thread.
    fn current_ns(&self) -> u64 {
        let since_ns = self.0.since_ns.load(Ordering::Relaxed);
        if since_ns == WAITING {
            return 0;
        }
        let passed_ns = now_ns().saturating_sub(since_ns);
        match self.0.since_cpu_ns.load(Ordering::Relaxed) {
            UNKNOWN => passed_ns,
            since_cpu_ns => passed_ns.min(thread_cpu_ns().saturating_sub(since_cpu_ns)),
        }
    }
}

fn now_ns() -> u64 {
    ORIGIN.elapsed().as_nanos() as u64
}

/// What this thread has computed.
fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
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

    #[test]
    fn a_thread_that_does_not_get_the_processor_does_not_compute() {
        let meter = CpuMeter::new();
        meter.resume_exactly();
        std::thread::sleep(STEP);
        assert!(meter.used() < STEP / 2);
        let end = Instant::now() + STEP * 20;
        while meter.used() < STEP {
            assert!(Instant::now() < end, "computing is seen");
        }
        meter.pause();
        assert!(meter.used() >= STEP);
    }
}
