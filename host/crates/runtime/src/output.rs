//! What one instance writes to stdout and stderr and through `wasi:logging`: entries of its app's log, within a
//! budget for each request.

mod last_words;
mod stdio;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use typecase_model::{EntryLevel, EntrySource};

use crate::log_sink::{AppLog, Words};
use last_words::LastWords;
pub(crate) use stdio::Stdio;

/// A longer line is cut into several.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// Lines that belong together are one entry up to this; so is one message of `wasi:logging`.
const ENTRY_BYTES_MAX: usize = 16 * 1024;

/// Names of modules are shorter.
const CONTEXT_BYTES_MAX: usize = 256;

/// What one request may write before the rest is dropped: a guest that writes forever must not fill the
/// operator's disk or slow down others' logs.
const REQUEST_BYTES_MAX: usize = 256 * 1024;

/// The output of one instance; clones share what is under construction and the budget.
#[derive(Clone)]
pub(crate) struct InstanceOutput(Arc<Mutex<Writing>>);

struct Writing {
    log: Arc<AppLog>,
    request_id: Arc<str>,
    written_bytes: usize,
    stdout: Stream,
    stderr: Stream,
    /// What the guest's language says of a failure, until it is clear whether the guest goes on.
    last_words: Option<LastWords>,
}

#[derive(Default)]
struct Stream {
    /// The line under construction.
    line: Vec<u8>,
    /// The entry under construction: only while one piece of output is taken apart.
    entry: String,
}

/// Of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    Stdout,
    Stderr,
}

impl InstanceOutput {
    pub(crate) fn new(log: Arc<AppLog>, request_id: Arc<str>) -> Self {
        let (stdout, stderr) = (Stream::default(), Stream::default());
        Self(Arc::new(Mutex::new(Writing {
            log,
            request_id,
            written_bytes: 0,
            stdout,
            stderr,
            last_words: None,
        })))
    }

    /// The entries and the budget of the next request of a reused instance.
    pub(crate) fn begin_request(&self, request_id: Arc<str>) {
        let mut writing = self.lock();
        writing.finish();
        writing.written_bytes = 0;
        writing.request_id = request_id;
    }

    /// A message with a level.
    pub(crate) fn log(&self, level: EntryLevel, context: &str, message: &str) {
        let mut writing = self.lock();
        if !writing.spend(message.len() + context.len()) {
            return;
        }
        let (message, context) =
            (beginning(message.trim_end(), ENTRY_BYTES_MAX), beginning(context, CONTEXT_BYTES_MAX));
        if message.is_empty() && context.is_empty() {
            return;
        }
        let context = Some(context).filter(|context| !context.is_empty());
        let words = Words { level, source: EntrySource::Logging, message, context, error_code: None };
        writing.log.write(&writing.request_id, &words);
    }

    /// The guest has failed: what it said last goes into the report of the failure instead of an entry of its own.
    pub(crate) fn take_last_words(&self) -> Option<String> {
        let mut writing = self.lock();
        writing.finish_lines();
        writing.last_words.take().map(LastWords::into_text)
    }

    fn append(&self, channel: Channel, bytes: &[u8]) {
        self.lock().append(channel, bytes);
    }

    fn lock(&self) -> MutexGuard<'_, Writing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writing {
    /// False when the request has used up what it may write. Last words still count: they are few.
    fn spend(&mut self, bytes: usize) -> bool {
        let had_some = self.written_bytes <= REQUEST_BYTES_MAX;
        self.written_bytes = self.written_bytes.saturating_add(bytes);
        if had_some && self.written_bytes > REQUEST_BYTES_MAX {
            let message = format!("output beyond {REQUEST_BYTES_MAX} bytes per request is dropped");
            self.emit(EntryLevel::Warn, EntrySource::Host, &message);
        }
        self.written_bytes <= REQUEST_BYTES_MAX
    }

    fn append(&mut self, channel: Channel, bytes: &[u8]) {
        if !self.spend(bytes.len()) && channel == Channel::Stdout {
            return;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(LINE_BYTES_MAX) {
                let line = &mut self.stream(channel).line;
                line.extend_from_slice(part);
                if part.ends_with(b"\n") || line.len() >= LINE_BYTES_MAX {
                    self.finish_line(channel);
                }
            }
        }
        self.finish_entry(channel);
    }

    fn finish_line(&mut self, channel: Channel) {
        let line = std::mem::take(&mut self.stream(channel).line);
        let text = String::from_utf8_lossy(&line);
        self.add_line(channel, text.trim_end());
        // The next line goes into the same memory.
        let stream = self.stream(channel);
        stream.line = line;
        stream.line.clear();
    }

    fn add_line(&mut self, channel: Channel, line: &str) {
        if channel == Channel::Stderr {
            if let Some(words) = &mut self.last_words {
                if words.take(line) {
                    return;
                }
                self.finish_last_words();
            }
            if let Some(words) = LastWords::begin(line) {
                self.finish_entry(channel);
                self.last_words = Some(words);
                return;
            }
        }
        if line.is_empty() {
            return;
        }
        let entry = &self.stream(channel).entry;
        let belongs = line.starts_with([' ', '\t']) && !entry.is_empty();
        if belongs && entry.len() + line.len() < ENTRY_BYTES_MAX {
            let entry = &mut self.stream(channel).entry;
            entry.push('\n');
            entry.push_str(line);
        } else {
            self.finish_entry(channel);
            self.stream(channel).entry.push_str(line);
        }
    }

    fn finish_entry(&mut self, channel: Channel) {
        let mut entry = std::mem::take(&mut self.stream(channel).entry);
        if entry.is_empty() {
            return;
        }
        if self.written_bytes <= REQUEST_BYTES_MAX {
            match channel {
                Channel::Stdout => self.emit(EntryLevel::Info, EntrySource::Stdout, &entry),
                Channel::Stderr => self.emit(EntryLevel::Warn, EntrySource::Stderr, &entry),
            }
        }
        entry.clear();
        self.stream(channel).entry = entry;
    }

    fn finish_last_words(&mut self) {
        if let Some(words) = self.last_words.take() {
            self.emit(EntryLevel::Error, EntrySource::Stderr, &words.into_text());
        }
    }

    fn finish_lines(&mut self) {
        for channel in [Channel::Stdout, Channel::Stderr] {
            if !self.stream(channel).line.is_empty() {
                self.finish_line(channel);
            }
            self.finish_entry(channel);
        }
    }

    fn finish(&mut self) {
        self.finish_lines();
        self.finish_last_words();
    }

    fn emit(&self, level: EntryLevel, source: EntrySource, message: &str) {
        self.log.write(&self.request_id, &Words { level, source, message, context: None, error_code: None });
    }

    fn stream(&mut self, channel: Channel) -> &mut Stream {
        match channel {
            Channel::Stdout => &mut self.stdout,
            Channel::Stderr => &mut self.stderr,
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.finish();
    }
}

/// As much of a text as fits, whole characters.
fn beginning(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
