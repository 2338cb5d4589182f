//! A bucket of attempts: enough for people who mistype, too few for programs that guess.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ControlError;

/// Attempts in a row.
pub(super) const BURST: u32 = 10;
/// One more attempt comes back in this time: 14,400 guesses a day at most.
const REFILL: Duration = Duration::from_secs(6);

/// Counts for the whole node, because there is one account; API tokens and the command line are not affected.
pub(super) struct Attempts {
    bucket: Mutex<Bucket>,
}

struct Bucket {
    left: u32,
    refilled: Instant,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { bucket: Mutex::new(Bucket { left: BURST, refilled: Instant::now() }) }
    }
}

impl Attempts {
    pub(super) fn take(&self) -> Result<(), ControlError> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let refills = bucket.refilled.elapsed().as_secs() / REFILL.as_secs();
        if refills > 0 {
            bucket.left = bucket.left.saturating_add(u32::try_from(refills).unwrap_or(BURST)).min(BURST);
            bucket.refilled = Instant::now();
        }
        match bucket.left.checked_sub(1) {
            Some(left) => {
                bucket.left = left;
                Ok(())
            }
            None => Err(ControlError::TooManyAttempts { seconds: REFILL.as_secs() }),
        }
    }

    /// After a right password: whoever has it is no guesser.
    pub(super) fn forgive(&self) {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).left = BURST;
    }
}
