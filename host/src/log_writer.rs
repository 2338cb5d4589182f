//! The node's log on stderr, written by a thread of its own: whoever logs only copies bytes.
//!
//! When whoever reads the log is slower than its writers, or has stopped, lines are dropped and counted, never
//! waited for: a guest that writes much must not hold up the threads that serve.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// What may wait for the reader; as much again is on its way to it.
const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Guests share this part of it, so that the node's own lines find room.
const GUEST_BYTES_MAX: usize = WAITING_BYTES_MAX / 2;

/// How long the end of the process waits for a slow reader.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// Hands lines to the thread that writes; clones share it.
#[derive(Clone)]
pub struct LogWriter(Arc<Queue>);

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
    writing: bool,
}

/// One event's way into the queue.
pub struct Line<'a> {
    queue: &'a Queue,
    bytes_max: usize,
}

impl LogWriter {
    pub fn start() -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let writer = queue.clone();
        std::thread::Builder::new().name("log".into()).spawn(move || writer.write_all())?;
        Ok(Self(queue))
    }

    /// Waits until everything is written, within limits.
    pub fn flush(&self) {
        let end = Instant::now() + FLUSH_MAX;
        let mut waiting = self.0.lock();
        while !waiting.bytes.is_empty() || waiting.writing {
            let Some(left) = end.checked_duration_since(Instant::now()) else {
                return;
            };
            waiting = self.0.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8], bytes_max: usize) {
        let mut waiting = self.lock();
        if waiting.bytes.len() + line.len() > bytes_max {
            waiting.dropped += 1;
            return;
        }
        waiting.bytes.extend_from_slice(line);
        drop(waiting);
        self.changed.notify_all();
    }

    fn write_all(&self) {
        let mut bytes = Vec::new();
        loop {
            let dropped = {
                let mut waiting = self.lock();
                waiting.writing = false;
                self.changed.notify_all();
                while waiting.bytes.is_empty() {
                    waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                }
                waiting.writing = true;
                bytes.clear();
                std::mem::swap(&mut bytes, &mut waiting.bytes);
                std::mem::take(&mut waiting.dropped)
            };
            // There is nowhere to tell that stderr is gone.
            let _ = io::stderr().write_all(&bytes);
            if dropped > 0 {
                tracing::warn!(lines = dropped, "log lines were dropped: whoever reads the log is too slow");
            }
        }
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { queue: &self.0, bytes_max: WAITING_BYTES_MAX }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        let bytes_max = if metadata.target() == "guest" { GUEST_BYTES_MAX } else { WAITING_BYTES_MAX };
        Line { queue: &self.0, bytes_max }
    }
}

impl Write for Line<'_> {
    /// Events come in one piece each.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.queue.push(bytes, self.bytes_max);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_leave_room_for_the_nodes_own_lines() {
        // Without its thread: a reader that has stopped.
        let queue = Queue::default();
        let line = vec![b'.'; 64 * 1024];
        for _ in 0..1_000 {
            queue.push(&line, GUEST_BYTES_MAX);
        }
        assert_eq!(queue.lock().bytes.len(), GUEST_BYTES_MAX);
        assert_eq!(queue.lock().dropped, 1_000 - (GUEST_BYTES_MAX / line.len()) as u64);
        queue.push(b"the node's own", WAITING_BYTES_MAX);
        assert!(queue.lock().bytes.ends_with(b"the node's own"));
        for _ in 0..1_000 {
            queue.push(&line, WAITING_BYTES_MAX);
        }
        assert!(queue.lock().bytes.len() <= WAITING_BYTES_MAX);
    }
}
