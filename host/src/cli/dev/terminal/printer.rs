//! Lines on stdout, written by a thread of its own: a terminal that was stopped, or a pager that nobody scrolls, must
//! not stop the app.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use crate::cli::elapsed::CLEAR_LINE;

/// Lines that may wait; guests' lines beyond are dropped and counted.
const WAITING_MAX: usize = 1_024;
/// How long the end waits for a terminal that does not take its lines.
const FINISH_TIMEOUT: Duration = Duration::from_millis(300);

#[derive(Clone)]
pub struct Printer {
    lines: SyncSender<Entry>,
    dropped: Arc<AtomicU64>,
}

enum Entry {
    Line(String),
    /// Everything before it is written when this is answered.
    Finish(SyncSender<()>),
}

impl Printer {
    /// On a terminal each line takes the place of one that a build has begun there, such as a progress bar.
    pub fn start(begins_anew: bool) -> Self {
        let before = if begins_anew { CLEAR_LINE } else { "" };
        let (lines, entries) = sync_channel(WAITING_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = dropped.clone();
        // Without the thread nothing is printed, and everything else works.
        let _ = std::thread::Builder::new()
            .name("terminal".into())
            .spawn(move || write_all(&entries, &counted, before));
        Self { lines, dropped }
    }

    pub fn print(&self, line: String) {
        // Not waited for either: of those there are never so many.
        self.print_if_there_is_room(line);
    }

    pub fn print_if_there_is_room(&self, line: String) {
        if let Err(TrySendError::Full(_)) = self.lines.try_send(Entry::Line(line)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything is written, within limits.
    pub fn finish(&self) {
        let (done, written) = sync_channel(1);
        if self.lines.try_send(Entry::Finish(done)).is_ok() {
            let _ = written.recv_timeout(FINISH_TIMEOUT);
        }
    }
}

fn write_all(entries: &Receiver<Entry>, dropped: &AtomicU64, before: &str) {
    let mut stdout = std::io::stdout();
    for entry in entries {
        let line = match entry {
            Entry::Line(line) => line,
            Entry::Finish(done) => {
                let _ = stdout.flush();
                let _ = done.send(());
                continue;
            }
        };
        // A reader that went away is no reason to end.
        let _ = writeln!(stdout, "{before}{line}").and_then(|()| stdout.flush());
        let count = dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            let _ = writeln!(stdout, "({count} lines were dropped: the terminal was too slow)");
        }
    }
}
