//! Counts the seconds of work that says nothing: on a terminal's last line, which whatever is written next takes over.

use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;

use tokio::time::Instant;

/// What is shorter needs no telling.
const SILENCE: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_secs(1);

/// Takes a line back that has no end yet.
pub const CLEAR_LINE: &str = "\r\u{1b}[K";

#[derive(Debug)]
pub struct Elapsed {
    label: &'static str,
    started: Instant,
    next: Instant,
    is_shown: bool,
}

impl Elapsed {
    pub fn start(label: &'static str) -> Self {
        let started = Instant::now();
        Self { label, started, next: started + SILENCE, is_shown: false }
    }

    /// Shows the seconds for ever, one after the other; may be dropped at any time and called again.
    pub async fn count(&mut self) -> Infallible {
        loop {
            tokio::time::sleep_until(self.next).await;
            self.next += STEP;
            self.is_shown = true;
            let line = format!("\u{1b}[2m  {} … {}\u{1b}[0m", self.label, shown(self.started.elapsed()));
            // The cursor goes back to the beginning: lines that others write begin there.
            write(&format!("{CLEAR_LINE}{line}\r"));
        }
    }

    /// Something else is written: the silence begins anew.
    pub fn interrupt(&mut self) {
        self.clear();
        self.next = Instant::now() + SILENCE;
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            write(CLEAR_LINE);
        }
    }
}

impl Drop for Elapsed {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Work with its seconds, if it takes any.
pub async fn counted<T>(label: &'static str, work: impl Future<Output = T>) -> T {
    let mut elapsed = Elapsed::start(label);
    tokio::select! {
        result = work => result,
        never = elapsed.count() => match never {},
    }
}

fn shown(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

fn write(text: &str) {
    let mut stderr = std::io::stderr();
    // A terminal that went away needs no progress.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}
