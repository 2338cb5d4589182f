//! The way of log entries out of the sandboxes: a bounded queue that nobody ever waits for.
//!
//! What does not fit is left out and counted. Each app has a rate of its own, and at most as much of the queue as is
//! still free for others, so that one that writes forever takes nothing from them.

mod late;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use typecase_model::{EntryLevel, EntrySource, LogEntry};

use crate::labels::ComponentLabels;
use late::Announcer;

pub use late::{LateEntries, LateEntry};

/// Entries of all apps that wait for the reader.
const ENTRIES_MAX: usize = 16_384;
const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What one app may write in a second: some ten thousand lines. Whoever wants more wants a database.
pub const APP_BYTES_PER_SECOND: usize = 1024 * 1024;

/// What an entry takes besides its text.
const ENTRY_OVERHEAD_BYTES: usize = 256;

/// The side of the sandboxes; clones share the queue.
#[derive(Clone)]
pub struct LogSink {
    entries: SyncSender<Arrival>,
    waiting_bytes: Arc<AtomicUsize>,
    late: Announcer,
}

/// The side of whoever keeps the logs.
pub struct LogQueue {
    entries: Receiver<Arrival>,
    waiting_bytes: Arc<AtomicUsize>,
    late: LateEntries,
}

/// An entry, and how many of its app's were left out before it.
#[derive(Debug)]
pub struct Received {
    pub entry: LogEntry,
    pub left_out: u64,
    /// To be dropped when readers see the entry, if it was announced.
    pub late: Option<LateEntry>,
}

/// Why there is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoEntry {
    /// None came in time.
    Quiet,
    /// The end was told, or nobody is left who could write one.
    Over,
}

struct Arrival {
    /// None is the end.
    entry: Option<Box<LogEntry>>,
    bytes: usize,
    account: Arc<Account>,
    late: Option<LateEntry>,
}

/// What one loaded release has written lately.
#[derive(Default)]
struct Account {
    waiting_bytes: AtomicUsize,
    second: AtomicI64,
    bytes_in_second: AtomicUsize,
    left_out: AtomicU64,
}

/// The log of one loaded release, as its instances and the host write it.
pub(crate) struct AppLog {
    pub(crate) labels: ComponentLabels,
    sink: LogSink,
    account: Arc<Account>,
}

/// Makes both ends of the queue.
pub fn log_queue() -> (LogSink, LogQueue) {
    let (sender, receiver) = sync_channel(ENTRIES_MAX);
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    let late = Announcer::default();
    let queue = LogQueue { entries: receiver, waiting_bytes: waiting_bytes.clone(), late: late.entries() };
    (LogSink { entries: sender, waiting_bytes, late }, queue)
}

impl LogSink {
    /// Tells the reader, after all that was written before, that nothing of interest follows. False while the queue
    /// is full.
    pub fn end(&self) -> bool {
        self.entries.try_send(Arrival { entry: None, bytes: 0, account: Arc::default(), late: None }).is_ok()
    }
}

impl LogQueue {
    /// Those that will still come of what has happened.
    pub fn late_entries(&self) -> LateEntries {
        self.late.clone()
    }

    /// Waits for the next entry, on a thread that may.
    pub fn next(&self, timeout: Duration) -> Result<Received, NoEntry> {
        let arrival = self.entries.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => NoEntry::Quiet,
            RecvTimeoutError::Disconnected => NoEntry::Over,
        })?;
        let entry = *arrival.entry.ok_or(NoEntry::Over)?;
        self.waiting_bytes.fetch_sub(arrival.bytes, Ordering::Relaxed);
        arrival.account.waiting_bytes.fetch_sub(arrival.bytes, Ordering::Relaxed);
        let left_out = arrival.account.left_out.swap(0, Ordering::Relaxed);
        Ok(Received { entry, left_out, late: arrival.late })
    }
}

/// What an entry says besides whose it is and when it was.
pub(crate) struct Words<'a> {
    pub(crate) level: EntryLevel,
    pub(crate) source: EntrySource,
    pub(crate) message: &'a str,
    pub(crate) context: Option<&'a str>,
    pub(crate) error_code: Option<&'static str>,
}

impl AppLog {
    pub(crate) fn new(labels: ComponentLabels, sink: LogSink) -> Self {
        Self { labels, sink, account: Arc::default() }
    }

    /// Says that an entry follows which takes a moment to complete.
    pub(crate) fn announce(&self) -> LateEntry {
        self.sink.late.announce()
    }

    /// Hands an entry over, or counts it as left out. Texts are copied only when there is room for them.
    pub(crate) fn write(&self, request_id: &Arc<str>, words: &Words<'_>) {
        self.write_at(SystemTime::now(), request_id, words, None);
    }

    /// The same for what happened a moment ago, and may have been announced.
    pub(crate) fn write_at(
        &self,
        at: SystemTime,
        request_id: &Arc<str>,
        words: &Words<'_>,
        late: Option<LateEntry>,
    ) {
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let bytes = words.message.len() + words.context.map_or(0, str::len) + ENTRY_OVERHEAD_BYTES;
        if !self.has_room(bytes, words.source, at.as_secs() as i64) {
            self.account.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let entry = Some(Box::new(LogEntry {
            time_us: at.as_micros() as i64,
            level: words.level,
            source: words.source,
            app: self.labels.app.clone(),
            release: self.labels.release,
            request_id: request_id.clone(),
            message: words.message.to_owned(),
            context: words.context.map(str::to_owned),
            error_code: words.error_code,
        }));
        self.sink.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.account.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let arrival = Arrival { entry, bytes, account: self.account.clone(), late };
        if self.sink.entries.try_send(arrival).is_err() {
            self.sink.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.account.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.account.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn has_room(&self, bytes: usize, source: EntrySource, second: i64) -> bool {
        let account = &self.account;
        if account.second.swap(second, Ordering::Relaxed) != second {
            account.bytes_in_second.store(0, Ordering::Relaxed);
        }
        let in_second = account.bytes_in_second.load(Ordering::Relaxed) + bytes;
        let free = WAITING_BYTES_MAX.saturating_sub(self.sink.waiting_bytes.load(Ordering::Relaxed));
        let waiting = account.waiting_bytes.load(Ordering::Relaxed);
        // Why an app failed is worth more than what it said before.
        let has_room = match source {
            EntrySource::Host => in_second <= 2 * APP_BYTES_PER_SECOND && bytes <= free,
            _ => in_second <= APP_BYTES_PER_SECOND && waiting + bytes <= free,
        };
        if has_room {
            account.bytes_in_second.fetch_add(bytes, Ordering::Relaxed);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str, sink: &LogSink) -> AppLog {
        AppLog::new(ComponentLabels { app: name.parse().unwrap(), release: 1 }, sink.clone())
    }

    fn line(message: &str) -> Words<'_> {
        let (level, source) = (EntryLevel::Info, EntrySource::Stdout);
        Words { level, source, message, context: None, error_code: None }
    }

    fn drained(queue: &LogQueue) -> (Vec<LogEntry>, u64) {
        let (mut entries, mut left_out) = (Vec::new(), 0);
        while let Ok(received) = queue.next(Duration::ZERO) {
            left_out += received.left_out;
            entries.push(received.entry);
        }
        (entries, left_out)
    }

    #[test]
    fn a_flood_is_cut_to_its_rate_and_leaves_room_for_others() {
        let (sink, queue) = log_queue();
        let (flood, quiet) = (app("flood", &sink), app("quiet", &sink));
        let id: Arc<str> = "r".into();
        let text = "x".repeat(1_000);
        for _ in 0..50_000 {
            flood.write(&id, &line(&text));
        }
        quiet.write(&id, &line("still here"));
        flood.write(&id, &Words { source: EntrySource::Host, ..line("crashed") });
        let (entries, left_out) = drained(&queue);
        let of = |name: &str| entries.iter().filter(|entry| entry.app.as_str() == name).count();
        assert_eq!(of("quiet"), 1);
        assert_eq!(entries.last().unwrap().message, "crashed");
        // One second's worth; a few seconds may have gone by.
        assert!((500..10_000).contains(&of("flood")), "{}", of("flood"));
        assert_eq!(of("flood") as u64 - 1 + left_out, 50_000);
        drop((flood, quiet, sink));
        assert_eq!(queue.next(Duration::ZERO).unwrap_err(), NoEntry::Over);
    }

    #[test]
    fn a_reader_that_stopped_costs_entries_and_nothing_else() {
        let (sink, queue) = log_queue();
        let id: Arc<str> = "r".into();
        let text = "x".repeat(16_000);
        let crash = Words { source: EntrySource::Host, ..line(&text) };
        let apps: Vec<AppLog> = (0..20).map(|n| app(&format!("app-{n}"), &sink)).collect();
        for app in &apps {
            for _ in 0..100 {
                app.write(&id, &crash);
            }
        }
        assert!(sink.waiting_bytes.load(Ordering::Relaxed) <= WAITING_BYTES_MAX);
        let (entries, _) = drained(&queue);
        assert_eq!(sink.waiting_bytes.load(Ordering::Relaxed), 0);
        assert!(entries.len() >= 500, "{}", entries.len());
        // Each app tells of its own with its next entry.
        apps[19].write(&id, &line("again"));
        assert_eq!(queue.next(Duration::ZERO).unwrap().left_out, 100);
    }
}
