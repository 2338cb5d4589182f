//! How guests that compute for long share a thread with everything else on it.
//!
//! A guest that is interrupted by the ticker has just used a whole slice. Before its next one it waits in
//! line behind the other interrupted guests of its thread, and then until the thread's other tasks have
//! had as much time as a slice takes, or have nothing to do. So any number of spinning guests together
//! take at most half of a thread that others need, and another app's request waits for one slice, not for
//! one slice per spinning guest.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, oneshot};

use crate::engine::TICK_MS;

/// One thread's line of interrupted guests, first come, first served.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<()>>);

/// A round of the scheduler that takes less than this ran nobody else.
const IDLE_ROUND: Duration = Duration::from_micros(20);

thread_local! {
    static TURNS: OnceCell<Turns> = const { OnceCell::new() };
}

impl Turns {
    /// The line of the thread that calls.
    pub(crate) fn of_this_thread() -> Self {
        TURNS.with(|turns| turns.get_or_init(Self::default).clone())
    }

    /// Resolves when the calling guest may compute for another slice.
    pub(crate) async fn next(self) {
        let (turn, mine) = oneshot::channel();
        // The line is held by a task, which is always polled. A guest may be polled by its client's reading
        // alone, and a client that does not read must not keep the others waiting.
        tokio::spawn(self.hand_out(turn));
        // The task ends early only with its runtime.
        let _ = mine.await;
    }

    async fn hand_out(self, turn: oneshot::Sender<()>) {
        let _line = self.0.lock().await;
        if turn.is_closed() {
            return;
        }
        let others_since = Instant::now();
        let mut round_since = others_since;
        loop {
            // One round: the I/O driver is polled, and every task that is ready runs once.
            tokio::task::yield_now().await;
            let now = Instant::now();
            let idle = now - round_since < IDLE_ROUND;
            if idle || now - others_since >= Duration::from_millis(TICK_MS) {
                break;
            }
            round_since = now;
        }
        let _ = turn.send(());
        // The guest computes now; the next one in line starts to count when this slice is over.
        tokio::task::yield_now().await;
    }
}
