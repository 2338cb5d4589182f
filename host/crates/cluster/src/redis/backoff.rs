//! How long to wait before Redis is tried again.

use std::time::Duration;

/// Short enough that a restart of Redis is hardly noticed.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// A node is back within 3 s of Redis's return, whatever it was doing at that moment.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Pauses that double, with jitter, so that a hundred nodes do not knock at the same moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    attempts: usize,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: PAUSE_MIN, attempts: 0 }
    }
}

impl Backoff {
    /// How often there was a pause so far: who has several servers to try takes the next one.
    pub fn attempts(&self) -> usize {
        self.attempts
    }

    pub async fn pause(&mut self) {
        let pause = self.next.mul_f64(rand::random_range(0.5..=1.0));
        self.next = (self.next * 2).min(PAUSE_MAX);
        self.attempts = self.attempts.wrapping_add(1);
        tokio::time::sleep(pause).await;
    }

    /// After something worked: the next failure is a new one.
    pub fn reset(&mut self) {
        self.next = PAUSE_MIN;
    }
}
