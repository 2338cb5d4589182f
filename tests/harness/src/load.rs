//! Load whose every answer is kept: connections that are reused, fresh ones, and open streams, all at once.
//!
//! Nothing is measured in seconds. A test waits until enough requests were answered, provokes its fault, waits
//! for more, and then judges the history.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Method};
use http_body_util::BodyExt as _;
use tokio::task::JoinSet;

use crate::client::{self, Answer, Connection, NoAnswer};
pub use crate::history::{History, Kind, Record};
use crate::{DEADLINE, eventually};

/// Between two requests of one client: load, not a benchmark that starves what is tested.
const PAUSE: Duration = Duration::from_millis(4);

/// What those that POST send.
const POSTED: &str = "something that must arrive once\n";

/// What to send, and where to.
#[derive(Debug, Clone)]
pub struct Load {
    address: SocketAddr,
    path: String,
    keep_alive: usize,
    fresh: usize,
    stream_path: String,
    streams: usize,
    posts: usize,
}

/// Load that is going on.
#[derive(Debug)]
pub struct RunningLoad {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
    kinds: Vec<Kind>,
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
        Self { address, path: path.to_owned(), keep_alive: 0, fresh: 0, stream_path, streams: 0, posts: 0 }
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

    /// Clients that POST on connections which they keep: what fails was lost for good, for nobody may send it again.
    pub fn posts(mut self, clients: usize) -> Self {
        self.posts = clients;
        self
    }

    pub fn start(self) -> RunningLoad {
        let shared = Arc::new(Shared::default());
        let mut clients = JoinSet::new();
        let mut kinds = Vec::new();
        for (kind, count) in [
            (Kind::KeepAlive, self.keep_alive),
            (Kind::Fresh, self.fresh),
            (Kind::Stream, self.streams),
            (Kind::Post, self.posts),
        ] {
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

    /// Requests of any kind that have failed so far.
    pub fn failed(&self) -> usize {
        self.shared.records().iter().filter(|record| record.is_failure()).count()
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
        let mut reused = kept.take();
        if let Some((_, connection)) = &mut reused
            && !connection.is_open().await
        {
            reused = None;
        }
        let opened = match reused {
            Some(reused) => Ok(reused),
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
            node: None,
            logged_release: None,
            error: None,
        };
        match opened {
            Err(error) => record.error = Some(error.to_string()),
            Ok((number, mut connection)) => {
                record.connection = number;
                let wants_more = exchange(&load, &mut connection, &mut record).await;
                if matches!(kind, Kind::KeepAlive | Kind::Post) && wants_more {
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
    let (method, body) = match record.kind {
        Kind::Post => (Method::POST, POSTED.into()),
        _ => (Method::GET, Bytes::new()),
    };
    let mut request = client::request(load.address, method, path, None, body);
    if record.kind == Kind::Fresh {
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let answered = match record.kind {
        Kind::Stream => follow_stream(connection, request, record).await,
        Kind::KeepAlive | Kind::Fresh | Kind::Post => one_answer(connection, request, record).await,
    };
    match answered {
        Ok(closes) => !closes,
        Err(error) => {
            record.error = Some(error.to_string());
            false
        }
    }
}

type Request = http::Request<http_body_util::Full<Bytes>>;

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
    record.request_id =
        head.headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
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
