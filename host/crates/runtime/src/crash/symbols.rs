//! Where in the source a component failed: asked of a child process, and remembered.
//!
//! Only failures that are new wait for that; clients never do.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::backtrace;
use super::dwarf::Symbol;
use crate::compile::Compiler;
use crate::error::CallError;

/// How long a report waits for its places, those of other apps before it included; then it goes without.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Reports of all apps that wait; further ones go without places at once.
const WAITING_MAX: usize = 64;

/// Places that are remembered of one component.
const KNOWN_MAX: usize = 4_096;

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

/// The places in one component's source.
pub(crate) struct Symbols {
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
    /// It has no debug information, or some that nobody can read in time.
    has_none: bool,
}

impl Symbols {
    pub(crate) fn new(reader: SymbolReader, component: PathBuf) -> Arc<Self> {
        let (asking, known) = (tokio::sync::Mutex::new(()), Mutex::default());
        Arc::new(Self { reader, component, asking, known })
    }

    /// The whole report: what happened, and where, as far as that is known now.
    pub(crate) fn report(&self, error: &CallError) -> String {
        let known = self.known();
        let of = |offset: usize| known.symbols.get(&offset).map_or(&[][..], Vec::as_slice);
        format!("{}{}", error.detail, backtrace::lines(&error.trace, of))
    }

    /// Hands the report over when its places are known, or when that takes too long; also when the process ends before.
    pub(crate) fn report_when_known(
        self: &Arc<Self>,
        error: &CallError,
        tell: impl FnOnce(&str) + Send + 'static,
    ) {
        // When it goes out of scope, it is told.
        let report = Untold { report: self.report(error), tell: Some(tell) };
        if self.unknown(error).is_empty() {
            return;
        }
        let Ok(place) = self.reader.waiting.clone().try_acquire_owned() else {
            return;
        };
        let (this, error, mut report) = (self.clone(), error.clone(), report);
        self.reader.runtime.spawn(async move {
            let _place = place;
            report.becomes(this.report_in_full(&error).await);
        });
    }

    /// Waits until the places are known, or for [`WAIT_MAX`].
    pub(crate) async fn report_in_full(&self, error: &CallError) -> String {
        let _ = tokio::time::timeout(WAIT_MAX, self.learn(error)).await;
        self.report(error)
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
            None => known.has_none = true,
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
        let offsets = error.trace.iter().filter_map(|frame| frame.offset);
        offsets.filter(|offset| !known.has_none && !known.symbols.contains_key(offset)).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells its report when it goes.
struct Untold<F: FnOnce(&str)> {
    report: String,
    tell: Option<F>,
}

impl<F: FnOnce(&str)> Untold<F> {
    fn becomes(&mut self, report: String) {
        self.report = report;
    }
}

impl<F: FnOnce(&str)> Drop for Untold<F> {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell(&self.report);
        }
    }
}
