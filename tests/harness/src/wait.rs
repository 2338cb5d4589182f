//! Waiting for something that must come, without timing it.

use std::time::{Duration, Instant};

/// The longest anything in a test may take. Far more than is needed: a loaded machine is slow, not broken.
pub const DEADLINE: Duration = Duration::from_secs(240);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Looks again and again until there is something, and fails the test when nothing came.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "within {} s there should be: {what}", DEADLINE.as_secs());
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
