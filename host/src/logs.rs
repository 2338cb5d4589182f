//! The logs of the apps on this node: kept in files, the newest in memory, handed on to whoever follows.
//!
//! `collector` takes entries from the sandboxes on a thread of its own, `recent` keeps the newest, `followers` hears of
//! each at once, and `files` writes them on another thread, because a disk may hang. `history` reads the files.

mod collector;
mod files;
mod filter;
mod followers;
mod history;
mod recent;
mod record;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use typecase_model::AppName;
use typecase_runtime::{LateEntries, LogQueue, LogSink};

use crate::config::{EchoApps, LogConfig};
use collector::Collector;
use files::{FileWriter, Files};
use followers::Followers;
use history::History;
use recent::Recent;

pub use filter::{Filter, REQUEST_CHARS_MIN};
pub use followers::{FOLLOWERS_MAX, Follower, Heard};
pub use record::{Record, parse_time, shown_time};

/// How long the end of the node waits for the last entries.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Answers that read files at once; each may keep a disk busy.
const READS_MAX: usize = 4;

/// How long an answer waits for files.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// What an answer holds at most, so that neither side has to gather more.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What reads the logs; clones share it.
#[derive(Clone)]
pub struct AppLogs(Arc<Shared>);

struct Shared {
    live: Mutex<Live>,
    late: LateEntries,
    history: History,
    reads: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// What the collector changes with each entry.
#[derive(Default)]
struct Live {
    recent: Recent,
    followers: Followers,
}

/// The threads that keep the logs; they end, with everything written, when this is dropped.
pub struct LogKeeper {
    pub logs: AppLogs,
    sink: LogSink,
    threads: Vec<JoinHandle<()>>,
}

/// The newest entries that somebody asked for.
#[derive(Debug, Default)]
pub struct Newest {
    /// Oldest first.
    pub records: Vec<Arc<Record>>,
    /// Why there may be more than was found; a sentence for people.
    pub problem: Option<String>,
}

impl LogKeeper {
    /// Starts the threads. `node` is the name that every entry carries. `sink` is a way into `queue`.
    pub fn start(
        config: &LogConfig,
        folder: &Path,
        node: &str,
        sink: LogSink,
        queue: LogQueue,
    ) -> io::Result<Self> {
        let folder = folder.join("apps");
        let logs = AppLogs::new(folder.clone(), config.app_files, queue.late_entries());
        let bytes_max = u64::from(config.app_file_mb) * 1024 * 1024;
        let (files, writer) = FileWriter::start(Files::new(folder, bytes_max, config.app_files, node))?;
        let echo = match config.echo_apps {
            EchoApps::Always => true,
            EchoApps::Never => false,
            EchoApps::Auto => io::IsTerminal::is_terminal(&io::stderr()),
        };
        let collector = Collector::new(logs.clone(), files, node, echo);
        let collector =
            std::thread::Builder::new().name("app-logs".into()).spawn(move || collector.run(&queue))?;
        Ok(Self { logs, sink, threads: vec![collector, writer] })
    }
}

impl Drop for LogKeeper {
    fn drop(&mut self) {
        // A disk that hangs does not hold up the node's exit.
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        while !self.sink.end() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        while !self.threads.iter().all(JoinHandle::is_finished) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl AppLogs {
    fn new(folder: PathBuf, files: u32, late: LateEntries) -> Self {
        Self(Arc::new(Shared {
            live: Mutex::default(),
            late,
            history: History::new(folder, files),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            places: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
        }))
    }

    #[cfg(test)]
    pub fn for_test(folder: &Path) -> Self {
        Self::new(folder.to_owned(), 1, typecase_runtime::log_queue().1.late_entries())
    }

    /// The newest `tail` entries of an app on this node that pass a filter, with those that are still to be written of what
    /// has happened.
    pub async fn newest(&self, app: &AppName, filter: &Filter, tail: usize) -> Newest {
        self.0.late.written().await;
        let found = self.live().recent.newest(app, filter, tail);
        self.with_history(app, filter, tail, found).await
    }

    /// The same, and everything from then on. None when too many follow already.
    pub async fn follow(&self, app: &AppName, filter: &Filter, tail: usize) -> Option<(Newest, Follower)> {
        let place = self.0.places.clone().try_acquire_owned().ok()?;
        let (found, follower) = {
            let mut live = self.live();
            // At once, so that nothing falls between what is there and what comes.
            let found = live.recent.newest(app, filter, tail);
            (found, live.followers.add(app.clone(), filter.clone(), place))
        };
        Some((self.with_history(app, filter, tail, found).await, follower))
    }

    async fn with_history(
        &self,
        app: &AppName,
        filter: &Filter,
        tail: usize,
        found: recent::Found,
    ) -> Newest {
        let recent::Found { mut records, oldest_us } = found;
        let covered =
            filter.since_us.zip(oldest_us).is_some_and(|(since_us, oldest_us)| since_us > oldest_us);
        let missing = tail.saturating_sub(records.len());
        if missing == 0 || covered {
            return Newest { records, problem: None };
        }
        let (older, problem) = self.older(app, filter, missing, oldest_us).await;
        records.splice(..0, older);
        Newest { records, problem }
    }

    /// What only the files have, oldest first.
    async fn older(
        &self,
        app: &AppName,
        filter: &Filter,
        count: usize,
        before_us: Option<i64>,
    ) -> (Vec<Arc<Record>>, Option<String>) {
        let deadline = Instant::now() + READ_TIMEOUT;
        let reading = async {
            let turn = self.0.reads.clone().acquire_owned().await;
            let (shared, app, filter) = (self.0.clone(), app.clone(), filter.clone());
            tokio::task::spawn_blocking(move || {
                // Kept while the disk hangs, so that no more than a few threads hang with it.
                let _turn = turn;
                shared.history.newest(&app, &filter, count, before_us, deadline)
            })
            .await
        };
        match tokio::time::timeout(READ_TIMEOUT, reading).await {
            Ok(Ok(Ok(found))) => {
                let records = found.records.into_iter().rev().map(Arc::new).collect();
                let problem = (!found.complete)
                    .then(|| "the log's files could not all be read in time: ask for less".to_owned());
                (records, problem)
            }
            Ok(Ok(Err(error))) => (Vec::new(), Some(format!("the log's files cannot be read: {error}"))),
            Ok(Err(error)) => (Vec::new(), Some(format!("reading the log's files failed: {error}"))),
            Err(_) => (Vec::new(), Some("the log's files do not answer".to_owned())),
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
