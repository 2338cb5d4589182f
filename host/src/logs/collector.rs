//! The thread that takes entries from the sandboxes. It waits for nobody but them.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use typecase_model::{EntryLevel, EntrySource, LogEntry};
use typecase_runtime::{APP_BYTES_PER_SECOND, LogQueue, NoEntry, Received};

use super::files::{Batch, FileWriter};
use super::{AppLogs, Record};

/// What goes to the files in one piece.
const BATCH_BYTES_MAX: usize = 256 * 1024;

/// It is woken by entries; this is only what waiting takes as its limit.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Threads tell of their entries a little out of order, and clocks are corrected by a little: such entries get the
/// next free time. A clock that goes back further is believed.
const DISORDER_US: i64 = 1_000_000;

pub struct Collector {
    logs: AppLogs,
    files: FileWriter,
    node: String,
    /// Whether entries also go to the node's own log.
    echo: bool,
    last_us: i64,
}

impl Collector {
    pub fn new(logs: AppLogs, files: FileWriter, node: &str, echo: bool) -> Self {
        Self { logs, files, node: node.to_owned(), echo, last_us: 0 }
    }

    pub fn run(mut self, queue: &LogQueue) {
        loop {
            let first = match queue.next(PATIENCE) {
                Ok(first) => first,
                Err(NoEntry::Quiet) => continue,
                Err(NoEntry::Over) => return,
            };
            let mut batch = Batch::default();
            self.take(first, &mut batch);
            let mut over = false;
            while batch.bytes() < BATCH_BYTES_MAX {
                match queue.next(Duration::ZERO) {
                    Ok(more) => self.take(more, &mut batch),
                    Err(NoEntry::Quiet) => break,
                    Err(NoEntry::Over) => {
                        over = true;
                        break;
                    }
                }
            }
            self.files.write(batch);
            if over {
                return;
            }
        }
    }

    fn take(&mut self, received: Received, batch: &mut Batch) {
        let Received { entry, left_out, late: _late } = received;
        if left_out > 0 {
            counter!("typecase_app_log_left_out_total", "app" => entry.app.as_str().to_owned())
                .increment(left_out);
            let message = format!(
                "{left_out} entries were left out here: an app may write {} KiB a second",
                APP_BYTES_PER_SECOND / 1024
            );
            self.keep(
                LogEntry {
                    level: EntryLevel::Warn,
                    source: EntrySource::Host,
                    request_id: "".into(),
                    message,
                    context: None,
                    error_code: None,
                    ..entry.clone()
                },
                batch,
            );
        }
        self.keep(entry, batch);
    }

    fn keep(&mut self, mut entry: LogEntry, batch: &mut Batch) {
        if entry.time_us <= self.last_us && entry.time_us > self.last_us - DISORDER_US {
            entry.time_us = self.last_us + 1;
        }
        self.last_us = entry.time_us;
        self.tell_the_node(&entry);
        let record = Arc::new(Record::of(&entry, &self.node));
        batch.add(&entry.app, &record.line);
        let mut live = self.logs.live();
        live.followers.tell(&entry.app, &record);
        live.recent.add(&entry.app, record);
    }

    /// The node's own log has the whole entry where somebody looks at it, and else what an operator should know: that
    /// a call failed, under which id the app's log says more.
    fn tell_the_node(&self, entry: &LogEntry) {
        let (app, release, id) = (entry.app.as_str(), entry.release, &*entry.request_id);
        let message = &*entry.message;
        if !self.echo {
            if let Some(code) = entry.error_code {
                let what = message.lines().next().unwrap_or_default();
                tracing::warn!(
                    target: "guest",
                    { app.name = app, release.number = release, request.id = id, error.code = code },
                    "call failed: {what}"
                );
            }
            return;
        }
        macro_rules! echo {
            ($level:ident) => {
                tracing::$level!(
                    target: "guest",
                    { app.name = app, release.number = release, request.id = id },
                    "{message}"
                )
            };
        }
        match entry.level {
            EntryLevel::Trace => echo!(trace),
            EntryLevel::Debug => echo!(debug),
            EntryLevel::Info => echo!(info),
            EntryLevel::Warn => echo!(warn),
            EntryLevel::Error | EntryLevel::Critical => echo!(error),
        }
    }
}
