//! How long the guests of a release keep a thread; and a word to whoever holds something back on that thread, each time
//! before a guest gets it.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// Called on a thread before a guest computes there: `true` if the guest may keep the thread for long.
pub type BeforeGuest = fn(may_take_long: bool);

/// Whoever keeps a thread for longer is slow.
const SLOW: Duration = Duration::from_micros(500);

/// What a slow run adds to the score. A quick one takes 1 away, so an app with one slow request in sixteen becomes a slow
/// one, and an app whose thread the kernel takes away for a moment, now and then, does not.
const SLOW_RUN: u8 = 16;
const SCORE_MAX: u8 = 64;

/// One release's score.
#[derive(Debug)]
pub(crate) struct Pace {
    before_guest: BeforeGuest,
    score: AtomicU8,
}

impl Pace {
    pub fn new(before_guest: BeforeGuest) -> Self {
        Self { before_guest, score: AtomicU8::new(0) }
    }

    pub fn before_guest(&self) -> BeforeGuest {
        self.before_guest
    }

    /// A guest begins with a request.
    pub fn begin(&self) {
        (self.before_guest)(self.score.load(Ordering::Relaxed) > SLOW_RUN);
    }

    /// A guest goes on after it gave way: it has more to do than most.
    pub fn go_on(&self) {
        (self.before_guest)(true);
    }

    /// A guest has kept the thread for so long.
    pub fn took(&self, run: Duration) {
        let score = self.score.load(Ordering::Relaxed);
        // Threads may overwrite each other's: it is an estimate.
        if run > SLOW {
            self.score.store(score.saturating_add(SLOW_RUN).min(SCORE_MAX), Ordering::Relaxed);
        } else if score > 0 {
            self.score.store(score - 1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static SAID: Cell<Option<bool>> = const { Cell::new(None) };
    }

    fn is_slow(pace: &Pace) -> bool {
        pace.begin();
        SAID.take().unwrap()
    }

    #[test]
    fn one_slow_run_is_forgiven_and_two_are_not_soon() {
        let pace = Pace::new(|may_take_long| SAID.set(Some(may_take_long)));
        assert!(!is_slow(&pace));
        pace.took(SLOW * 2);
        assert!(!is_slow(&pace), "the kernel may have taken the thread away");
        pace.took(SLOW * 2);
        assert!(is_slow(&pace));
        for _ in 0..SLOW_RUN {
            pace.took(Duration::ZERO);
        }
        assert!(!is_slow(&pace));
        pace.go_on();
        assert_eq!(SAID.take(), Some(true));
    }

    #[test]
    fn a_release_with_some_slow_requests_is_slow() {
        let pace = Pace::new(|may_take_long| SAID.set(Some(may_take_long)));
        for _ in 0..8 {
            pace.took(SLOW * 2);
            (0..SLOW_RUN / 2).for_each(|_| pace.took(Duration::ZERO));
        }
        (0..SLOW_RUN / 2).for_each(|_| {
            assert!(is_slow(&pace));
            pace.took(Duration::ZERO);
        });
    }
}
