//! Load whose every answer is kept: connections that are reused, fresh ones, and open streams, all at once.
//!
//! Nothing is measured in seconds. A test waits until enough requests were answered, provokes its fault, waits
//! for more, and then judges the history.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderValue;
use http::header::CONNECTION;
use http_body_util::BodyExt as _;
use tokio::task::JoinSet;

use crate::client::{Answer, Connection, NoAnswer, get};
use crate::{DEADLINE, eventually};

/// Between two requests of one client: load, not a benchmark that starves what is tested.
const PAUSE: Duration = Duration::from_millis(4);

/// How a client uses its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    KeepAlive,
    Fresh,
    Stream,
}

/// One request and what became of it.
#[derive(Debug, Clone)]
pub struct Record {
    pub request: u64,
    pub kind: Kind,
    /// Which connection of the whole load carried it.
    pub connection: u64,
    pub started: Instant,
    pub ended: Instant,
    pub status: u16,
    /// The release that the answer names; none for an error.
    pub release: Option<u32>,
    pub request_id: String,
    pub error: Option<String>,
}

/// What to send, and where to.
#[derive(Debug, Clone)]
pub struct Load {
    address: SocketAddr,
    path: String,
    keep_alive: usize,
    fresh: usize,
    stream_path: String,
    streams: usize,
}

/// Load that is going on.
#[derive(Debug)]
pub struct RunningLoad {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
    kinds: Vec<Kind>,
}

/// What became of all requests.
#[derive(Debug)]
pub struct History {
    pub records: Vec<Record>,
}

#[derive(Debug, Default)]
struct Shared {
    records: Mutex<Vec<Record>>,
    connections: AtomicU64,
    requests: AtomicU64,
    stop: AtomicBool,
}

impl Load {
    /// GETs of one path whose answer names its release, as the one of `guests::hello_saying` does.
    pub fn on(address: SocketAddr, path: &str) -> Self {
        let stream_path = String::new();
        Self { address, path: path.to_owned(), keep_alive: 0, fresh: 0, stream_path, streams: 0 }
    }

    /// Clients that keep their connection for as long as the server wants it.
    pub fn keep_alive(mut self, clients: usize) -> Self {
        self.keep_alive = clients;
        self
    }

    /// Clients that open a connection for each request.
    pub fn fresh(mut self, clients: usize) -> Self {
        self.fresh = clients;
        self
    }

    /// Clients that follow a stream to its end, again and again; its events name their release, as those of
    /// `guests::stream_saying` do.
    pub fn streams(mut self, clients: usize, path: &str) -> Self {
        self.stream_path = path.to_owned();
        self.streams = clients;
        self
    }

    pub fn start(self) -> RunningLoad {
        let shared = Arc::new(Shared::default());
        let mut clients = JoinSet::new();
        let mut kinds = Vec::new();
        for (kind, count) in
            [(Kind::KeepAlive, self.keep_alive), (Kind::Fresh, self.fresh), (Kind::Stream, self.streams)]
        {
            if count > 0 {
                kinds.push(kind);
            }
            for _ in 0..count {
                clients.spawn(follow(self.clone(), shared.clone(), kind));
            }
        }
        RunningLoad { shared, clients, kinds }
    }
}

impl RunningLoad {
    /// Requests of a kind that have ended so far, well or not.
    pub fn ended(&self, kind: Kind) -> usize {
        self.shared.records().iter().filter(|record| record.kind == kind).count()
    }

    /// Waits until this many more requests of each kind have ended.
    pub async fn more(&self, count: usize) {
        let before: HashMap<Kind, usize> = self.kinds.iter().map(|kind| (*kind, self.ended(*kind))).collect();
        eventually(&format!("{count} more requests of each kind"), async || {
            self.kinds.iter().all(|kind| self.ended(*kind) >= before[kind] + count).then_some(())
        })
        .await;
    }

    /// Lets every client finish what it has begun.
    pub async fn stop(mut self) -> History {
        self.shared.stop.store(true, Ordering::Relaxed);
        let all = async { while self.clients.join_next().await.is_some() {} };
        tokio::time::timeout(DEADLINE, all).await.expect("the clients end");
        History { records: self.shared.records().clone() }
    }
}

impl History {
    pub fn count(&self, kind: Kind) -> usize {
        self.records.iter().filter(|record| record.kind == kind).count()
    }

    pub fn failures(&self) -> Vec<&Record> {
        self.records.iter().filter(|record| record.error.is_some() || record.status != 200).collect()
    }

    /// Every request was answered with 200, and enough were sent for that to mean something.
    #[track_caller]
    pub fn assert_no_failures(&self, count_min: usize) {
        let failures = self.failures();
        let shown = &failures[..failures.len().min(5)];
        assert!(failures.is_empty(), "{} of {} failed: {shown:#?}", failures.len(), self.records.len());
        assert!(self.records.len() >= count_min, "only {} requests were sent", self.records.len());
    }

    /// On no connection an older release answered after a newer one.
    #[track_caller]
    pub fn assert_never_backwards(&self) {
        let mut newest: HashMap<u64, (u32, u64)> = HashMap::new();
        for record in &self.records {
            let Some(release) = record.release else { continue };
            let last = newest.entry(record.connection).or_insert((release, record.request));
            assert!(
                release >= last.0,
                "connection {}: request {} saw release {} after request {} had seen {}",
                record.connection,
                record.request,
                release,
                last.1,
                last.0
            );
            *last = (release, record.request);
        }
    }

    /// How many different releases answered.
    pub fn releases_seen(&self, kind: Kind) -> usize {
        let of_kind = self.records.iter().filter(|record| record.kind == kind);
        let releases: std::collections::HashSet<u32> = of_kind.filter_map(|record| record.release).collect();
        releases.len()
    }
}

impl Shared {
    fn records(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One client, until it is told to stop.
async fn follow(load: Load, shared: Arc<Shared>, kind: Kind) {
    let mut kept: Option<(u64, Connection)> = None;
    while !shared.stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let request = shared.requests.fetch_add(1, Ordering::Relaxed);
        let opened = match kept.take() {
            Some(kept) => Ok(kept),
            None => {
                let connection = shared.connections.fetch_add(1, Ordering::Relaxed);
                Connection::open(load.address).await.map(|opened| (connection, opened))
            }
        };
        let mut record = Record {
            request,
            kind,
            connection: 0,
            started,
            ended: started,
            status: 0,
            release: None,
            request_id: String::new(),
            error: None,
        };
        match opened {
            Err(error) => record.error = Some(error.to_string()),
            Ok((number, mut connection)) => {
                record.connection = number;
                let wants_more = exchange(&load, &mut connection, &mut record).await;
                if kind == Kind::KeepAlive && wants_more {
                    kept = Some((number, connection));
                }
            }
        }
        record.ended = Instant::now();
        shared.records().push(record);
        tokio::time::sleep(PAUSE).await;
    }
}

/// One request on a connection; true when the connection can be used again.
async fn exchange(load: &Load, connection: &mut Connection, record: &mut Record) -> bool {
    let path = if record.kind == Kind::Stream { &load.stream_path } else { &load.path };
    let mut request = get(load.address, path);
    if record.kind == Kind::Fresh {
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let answered = match record.kind {
        Kind::Stream => follow_stream(connection, request, record).await,
        Kind::KeepAlive | Kind::Fresh => one_answer(connection, request, record).await,
    };
    match answered {
        Ok(closes) => !closes,
        Err(error) => {
            record.error = Some(error.to_string());
            false
        }
    }
}

type Request = http::Request<http_body_util::Full<bytes::Bytes>>;

/// True when the server will close the connection.
async fn one_answer(
    connection: &mut Connection,
    request: Request,
    record: &mut Record,
) -> Result<bool, NoAnswer> {
    let answer = connection.send(request).await?;
    record.status = answer.status;
    record.request_id = answer.header("x-request-id").to_owned();
    let text = answer.text();
    record.release = text.trim_end().strip_prefix("release ").and_then(|number| number.parse().ok());
    if record.status == 200 && record.release.is_none() {
        return Err(NoAnswer(format!("the answer names no release: {text:?}")));
    }
    Ok(closes(&answer))
}

/// Reads events as they come; all of them must be of the release that sent the first.
async fn follow_stream(
    connection: &mut Connection,
    request: Request,
    record: &mut Record,
) -> Result<bool, NoAnswer> {
    let response = connection.begin(request).await?;
    let (head, mut body) = response.into_parts();
    record.status = head.status.as_u16();
    let mut text = String::new();
    loop {
        let frame = tokio::time::timeout(DEADLINE, body.frame()).await;
        let frame = frame.map_err(|_| NoAnswer("the stream stands still".to_owned()))?;
        let Some(frame) = frame else { break };
        let frame =
            frame.map_err(|error| NoAnswer(format!("the stream broke off after {text:?}: {error}")))?;
        if let Some(data) = frame.data_ref() {
            text.push_str(&String::from_utf8_lossy(data));
        }
    }
    let marks: Vec<Option<u32>> = text.split("\n\n").filter(|event| !event.is_empty()).map(mark).collect();
    record.release = marks.first().copied().flatten();
    match record.release {
        Some(_) if marks.iter().all(|mark| *mark == record.release) => Ok(true),
        _ => Err(NoAnswer(format!("the stream is not of one release: {text:?}"))),
    }
}

/// The release at the start of an event, `r0042:`.
fn mark(event: &str) -> Option<u32> {
    event.strip_prefix('r')?.split(':').next()?.parse().ok()
}

fn closes(answer: &Answer) -> bool {
    answer.header("connection").eq_ignore_ascii_case("close")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One record a pair: connection and release.
    fn history(seen: &[(u64, u32)]) -> History {
        let now = Instant::now();
        let record = |(request, (connection, release)): (usize, &(u64, u32))| Record {
            request: request as u64,
            kind: Kind::KeepAlive,
            connection: *connection,
            started: now,
            ended: now,
            status: 200,
            release: Some(*release),
            request_id: String::new(),
            error: None,
        };
        History { records: seen.iter().enumerate().map(record).collect() }
    }

    #[test]
    fn an_older_release_after_a_newer_one_is_noticed_for_each_connection() {
        history(&[(1, 1), (2, 2), (1, 1), (1, 2), (2, 2)]).assert_never_backwards();
        let backwards = history(&[(1, 1), (1, 2), (2, 1), (1, 1)]);
        assert!(std::panic::catch_unwind(|| backwards.assert_never_backwards()).is_err());
    }

    #[test]
    fn failures_and_too_few_requests_are_noticed() {
        let mut few = history(&[(1, 1), (1, 1)]);
        few.assert_no_failures(2);
        assert!(std::panic::catch_unwind(|| few.assert_no_failures(3)).is_err());
        few.records[0].status = 503;
        assert!(std::panic::catch_unwind(|| few.assert_no_failures(1)).is_err());
    }
}
