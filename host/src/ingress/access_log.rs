//! One JSON line per request, written by a thread of its own: requests only copy bytes.
//!
//! When the disk is slower than the traffic, lines are dropped and counted, never waited for.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::config::{AccessLog as Target, LogConfig};

/// A thread hands its lines over when it has so many bytes, or when it is told to. To wake the writer costs as much as
/// some requests, and the kernel takes fewer and larger pieces for half the price.
const BATCH_BYTES: usize = 128 * 1024;

/// Room for the line that makes a batch full.
const LINE_BYTES: usize = 2 * 1024;

/// Batches that wait for the disk; beyond this, lines are dropped.
const BATCHES_MAX: usize = 128;

/// Written batches whose memory waits for the next lines.
const SPARES_MAX: usize = 4;

/// How long the end of the node waits for the last lines.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Paths and methods are logged up to this length.
const TEXT_CHARS_MAX: usize = 512;

/// What a line says.
pub struct Line<'a> {
    pub app: &'a str,
    pub release: u32,
    pub request_id: &'a str,
    pub client: IpAddr,
    pub method: &'a http::Method,
    pub path: &'a str,
    pub status: u16,
    pub bytes: u64,
    pub duration: Duration,
    /// False when the client left or the app failed in the middle of its answer.
    pub complete: bool,
}

/// The side of the requests; clones share the writer.
#[derive(Clone)]
pub struct AccessLog(Option<Arc<Sender>>);

struct Sender {
    batches: SyncSender<Vec<u8>>,
    /// Empty, with their memory: to have new pages from the kernel for each batch would cost more than to fill it.
    spares: Mutex<Vec<Vec<u8>>>,
    dropped: AtomicU64,
}

/// The writer; ends, with everything written, when it is dropped.
pub struct AccessLogWriter {
    log: AccessLog,
    thread: Option<JoinHandle<()>>,
}

thread_local! {
    static BATCH: RefCell<Batch> = RefCell::default();
}

#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    second: u64,
    second_text: String,
}

impl AccessLog {
    pub fn write(&self, line: &Line<'_>) {
        let Some(sender) = &self.0 else {
            return;
        };
        BATCH.with_borrow_mut(|batch| {
            batch.append(line);
            if batch.bytes.len() >= BATCH_BYTES {
                sender.send(batch);
            }
        });
    }

    /// Hands over what this thread has gathered; called from time to time, so that quiet nodes log too.
    pub fn flush(&self) {
        if let Some(sender) = &self.0 {
            BATCH.with_borrow_mut(|batch| sender.send(batch));
        }
    }
}

impl Sender {
    fn send(&self, batch: &mut Batch) {
        if batch.bytes.is_empty() {
            return;
        }
        let spare = self.spares().pop().unwrap_or_else(|| Vec::with_capacity(BATCH_BYTES + LINE_BYTES));
        let bytes = std::mem::replace(&mut batch.bytes, spare);
        if self.batches.try_send(bytes).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn keep(&self, mut written: Vec<u8>) {
        let mut spares = self.spares();
        if spares.len() < SPARES_MAX {
            written.clear();
            spares.push(written);
        }
    }

    fn spares(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    fn append(&mut self, line: &Line<'_>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if now.as_secs() != self.second || self.second_text.is_empty() {
            self.second = now.as_secs();
            let second = jiff::Timestamp::from_second(now.as_secs() as i64).unwrap_or_default();
            self.second_text = second.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        }
        let mut text = Text(&mut self.bytes);
        text.bytes(b"{\"time\":\"");
        text.bytes(self.second_text.as_bytes());
        text.thousandths(now.subsec_millis());
        text.bytes(b"Z\",\"app.name\":\"");
        text.bytes(line.app.as_bytes());
        text.bytes(b"\",\"release.number\":");
        text.number(u64::from(line.release));
        text.bytes(b",\"request.id\":\"");
        text.bytes(line.request_id.as_bytes());
        text.bytes(b"\",\"client.ip\":\"");
        text.address(line.client);
        text.bytes(b"\",\"http.method\":\"");
        text.escaped(line.method.as_str());
        text.bytes(b"\",\"http.path\":\"");
        text.escaped(line.path);
        text.bytes(b"\",\"http.status\":");
        text.number(u64::from(line.status));
        text.bytes(b",\"response.bytes\":");
        text.number(line.bytes);
        text.bytes(b",\"duration_ms\":");
        text.number(line.duration.as_millis() as u64);
        text.thousandths(line.duration.subsec_micros() % 1_000);
        text.bytes(if line.complete { b"}\n" } else { b",\"aborted\":true}\n" });
    }
}

/// Appends to a batch; the standard formatter would be among the costliest parts of a small request.
struct Text<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl Text<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn number(&mut self, number: u64) {
        self.bytes(itoa::Buffer::new().format(number).as_bytes());
    }

    /// A dot and three digits.
    fn thousandths(&mut self, number: u32) {
        let digit = |unit: u32| b'0' + (number / unit % 10) as u8;
        self.bytes(&[b'.', digit(100), digit(10), digit(1)]);
    }

    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                for (place, number) in address.octets().into_iter().enumerate() {
                    self.bytes(if place == 0 { b"" } else { b"." });
                    self.number(u64::from(number));
                }
            }
            IpAddr::V6(address) => {
                // Writing to memory cannot fail.
                let _ = write!(self, "{address}");
            }
        }
    }

    fn escaped(&mut self, text: &str) {
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if text.len() <= TEXT_CHARS_MAX && text.as_bytes().iter().all(is_plain) {
            return self.bytes(text.as_bytes());
        }
        for (count, char) in text.chars().enumerate() {
            if count == TEXT_CHARS_MAX {
                self.0.extend_from_slice("…".as_bytes());
                return;
            }
            match char {
                '"' | '\\' => self.0.extend_from_slice(&[b'\\', char as u8]),
                char if char.is_control() => {
                    let _ = write!(self, "\\u{:04x}", char as u32);
                }
                char => self.0.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
}

impl AccessLogWriter {
    /// Opens the log and starts its thread.
    pub fn start(config: &LogConfig, folder: &Path) -> io::Result<Self> {
        let output = match config.access {
            Target::Off => return Ok(Self { log: AccessLog(None), thread: None }),
            Target::Stdout => Output::Stdout,
            Target::File => {
                std::fs::create_dir_all(folder)?;
                let path = folder.join("access.log");
                let file = OpenOptions::new().create(true).append(true).open(&path)?;
                let bytes = file.metadata()?.len();
                let bytes_max = u64::from(config.access_file_mb) * 1024 * 1024;
                Output::File { file, path, bytes, bytes_max, files: config.access_files }
            }
        };
        let (batches, receiver) = sync_channel(BATCHES_MAX);
        let sender = Arc::new(Sender { batches, spares: Mutex::default(), dropped: AtomicU64::new(0) });
        let weak = Arc::downgrade(&sender);
        let thread = std::thread::Builder::new().name("access-log".into()).spawn(move || {
            write_all(output, &receiver, &weak);
        })?;
        Ok(Self { log: AccessLog(Some(sender)), thread: Some(thread) })
    }

    pub fn handle(&self) -> AccessLog {
        self.log.clone()
    }
}

impl Drop for AccessLogWriter {
    fn drop(&mut self) {
        self.log.flush();
        let (Some(sender), Some(thread)) = (&self.log.0, self.thread.take()) else {
            return;
        };
        // An empty batch is the end. A disk that hangs does not hold up the node's exit.
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        while sender.batches.try_send(Vec::new()).is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        while !thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

enum Output {
    Stdout,
    File { file: File, path: PathBuf, bytes: u64, bytes_max: u64, files: u32 },
}

fn write_all(mut output: Output, batches: &Receiver<Vec<u8>>, sender: &Weak<Sender>) {
    let mut failing = false;
    loop {
        let batch = match batches.recv() {
            Ok(batch) if batch.is_empty() => return,
            Ok(batch) => batch,
            Err(_) => return,
        };
        let sender = sender.upgrade();
        let lost = sender.as_ref().map_or(0, |sender| sender.dropped.swap(0, Ordering::Relaxed));
        if lost > 0 {
            tracing::warn!(
                batches = lost,
                "access log lines were dropped: the log is slower than the traffic"
            );
        }
        match output.write(&batch) {
            Ok(()) => failing = false,
            // A full disk must not stop the traffic, nor fill the other log.
            Err(error) if !failing => {
                failing = true;
                tracing::error!("the access log cannot be written, lines are lost: {error}");
            }
            Err(_) => {}
        }
        if let Some(sender) = sender {
            sender.keep(batch);
        }
    }
}

impl Output {
    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().lock().write_all(batch),
            Self::File { file, path, bytes, bytes_max, files } => {
                if *bytes + batch.len() as u64 > *bytes_max && *bytes > 0 {
                    for number in (1..*files).rev() {
                        let older = |n: u32| {
                            if n == 0 { path.clone() } else { path.with_extension(format!("log.{n}")) }
                        };
                        let _ = std::fs::rename(older(number - 1), older(number));
                    }
                    *file = OpenOptions::new().create(true).write(true).truncate(true).open(&*path)?;
                    *bytes = 0;
                }
                file.write_all(batch)?;
                *bytes += batch.len() as u64;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_json_whatever_clients_send() {
        let mut batch = Batch::default();
        let method = http::Method::from_bytes(b"GET").unwrap();
        let client = |path| -> IpAddr {
            if path == "/plain" { "2001:db8::7".parse() } else { "192.0.2.10".parse() }.unwrap()
        };
        let paths = ["/plain", "/q\"uote\\", "/caf\u{e9}\u{1}", &"x".repeat(TEXT_CHARS_MAX + 1)];
        for path in paths {
            batch.append(&Line {
                app: "hello",
                release: 7,
                request_id: "id",
                client: client(path),
                method: &method,
                path,
                status: 200,
                bytes: 1_234,
                duration: Duration::from_micros(12_034),
                complete: path != "/plain",
            });
        }
        let text = String::from_utf8(batch.bytes).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), paths.len());
        assert_eq!(lines[0]["aborted"], true);
        assert_eq!(lines[1].get("aborted"), None);
        for (line, path) in lines.iter().zip(paths) {
            let shown = line["http.path"].as_str().unwrap();
            assert_eq!(shown.trim_end_matches('…'), &path[..shown.trim_end_matches('…').len()]);
            assert_eq!(line["client.ip"], client(path).to_string());
            assert_eq!(line["duration_ms"], 12.034);
            assert_eq!((&line["response.bytes"], &line["release.number"]), (&1_234.into(), &7.into()));
            let time: jiff::Timestamp = line["time"].as_str().unwrap().parse().unwrap();
            assert!(jiff::Timestamp::now().duration_since(time).as_secs().abs() < 60);
        }
    }
}
