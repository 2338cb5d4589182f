//! Tells an app's log why its calls failed, and where in the source: that is asked of a child process, and remembered.
//!
//! Only failures at places that are new wait for that; clients never do.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use typecase_model::{EntryLevel, EntrySource};

use super::backtrace;
use crate::compile::Compiler;
use crate::compile::dwarf::Symbol;
use crate::error::CallError;
use crate::log_sink::{AppLog, LateEntry, Words};

/// How long a report waits for its places, those of other apps before it included; then it goes without.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Reports of all apps that wait; further ones go without places at once.
const WAITING_MAX: usize = 64;

/// How long a component that did not say is not asked again.
const SILENCE: Duration = Duration::from_secs(60);

/// How late an entry may be to bear the time of what it tells of.
const BACKDATED_MAX: Duration = Duration::from_millis(500);

/// Places that are remembered of one component: at most some 2 MiB, mostly a hundredth of it.
const KNOWN_MAX: usize = 256;

/// What all components of a node share: the way to a child.
#[derive(Clone)]
pub(crate) struct SymbolReader {
    compiler: Arc<Compiler>,
    /// Of the control plane, which children belong to.
    runtime: Handle,
    waiting: Arc<Semaphore>,
}

impl SymbolReader {
    /// Must be called on the control plane's runtime.
    pub(crate) fn new(compiler: Arc<Compiler>) -> Self {
        Self { compiler, runtime: Handle::current(), waiting: Arc::new(Semaphore::new(WAITING_MAX)) }
    }
}

/// Tells the failures of one component's calls.
pub(crate) struct Reporter {
    pub(crate) log: Arc<AppLog>,
    reader: SymbolReader,
    component: PathBuf,
    /// Held while a child is asked, so that many failures at one place ask once.
    asking: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// By the offset into the component.
    symbols: HashMap<usize, Vec<Symbol>>,
    /// It has no debug information, or some that could not be read in time; not asked again until then.
    silent_until: Option<Instant>,
}

impl Reporter {
    pub(crate) fn new(log: AppLog, reader: SymbolReader, component: PathBuf) -> Arc<Self> {
        let (log, asking, known) = (Arc::new(log), tokio::sync::Mutex::new(()), Mutex::default());
        Arc::new(Self { log, reader, component, asking, known })
    }

    /// Writes to the app's log, when the places are known or that takes too long; also when the process ends before.
    pub(crate) fn tell(self: &Arc<Self>, error: &CallError, request_id: &Arc<str>) {
        let mut entry = Untold {
            log: self.log.clone(),
            request_id: request_id.clone(),
            at: SystemTime::now(),
            error_code: error.kind.code(),
            report: self.report(error),
            late: None,
        };
        if self.unknown(error).is_empty() {
            return;
        }
        let Ok(place) = self.reader.waiting.clone().try_acquire_owned() else {
            return;
        };
        entry.late = Some(self.log.announce());
        let (this, error) = (self.clone(), error.clone());
        self.reader.runtime.spawn(async move {
            let _place = place;
            entry.becomes(this.report_in_full(&error).await);
        });
    }

    /// What happened, and where; waits until that is known, or for [`WAIT_MAX`].
    pub(crate) async fn report_in_full(&self, error: &CallError) -> String {
        let _ = tokio::time::timeout(WAIT_MAX, self.learn(error)).await;
        self.report(error)
    }

    /// The same as far as it is known now.
    fn report(&self, error: &CallError) -> String {
        let known = self.known();
        let of = |offset: usize| known.symbols.get(&offset).map_or(&[][..], Vec::as_slice);
        format!("{}{}", error.detail, backtrace::lines(&error.trace, of))
    }

    async fn learn(&self, error: &CallError) {
        let _asking = self.asking.lock().await;
        let offsets = self.unknown(error);
        if offsets.is_empty() {
            return;
        }
        let symbols = self.reader.compiler.symbols(&self.component, &offsets).await;
        let mut known = self.known();
        match symbols {
            None => known.silent_until = Some(Instant::now() + SILENCE),
            Some(symbols) => {
                if known.symbols.len() + offsets.len() > KNOWN_MAX {
                    known.symbols.clear();
                }
                known.symbols.extend(offsets.into_iter().zip(symbols));
            }
        }
    }

    fn unknown(&self, error: &CallError) -> Vec<usize> {
        let known = self.known();
        if known.silent_until.is_some_and(|until| Instant::now() < until) {
            return Vec::new();
        }
        let offsets = error.trace.iter().filter_map(|call| call.offset);
        offsets.filter(|offset| !known.symbols.contains_key(offset)).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry of the log, written when it goes out of scope.
struct Untold {
    log: Arc<AppLog>,
    request_id: Arc<str>,
    at: SystemTime,
    error_code: &'static str,
    report: String,
    late: Option<LateEntry>,
}

impl Untold {
    fn becomes(&mut self, report: String) {
        self.report = report;
    }
}

impl Drop for Untold {
    fn drop(&mut self) {
        let words = Words {
            level: EntryLevel::Error,
            source: EntrySource::Host,
            message: &self.report,
            context: None,
            error_code: Some(self.error_code),
        };
        // Much later it would stand before others that have been read.
        let is_recent = self.at.elapsed().is_ok_and(|passed| passed < BACKDATED_MAX);
        let at = if is_recent { self.at } else { SystemTime::now() };
        self.log.write_at(at, &self.request_id, &words, self.late.take());
    }
}
