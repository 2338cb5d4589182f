//! Compilation in a child process: the same binary, niced, with limits on memory, CPU and time.
//!
//! A compiler run on hostile input can take minutes and gigabytes, which wasmtime does not call a bug; in a
//! child it can neither stall nor take down the server that goes on serving. A child compiles one component and ends;
//! with [`CompileEffort::Little`] it stays for the next one, which is often nearly the same. Debug information is read in
//! such a child, too.

mod child;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::crash::dwarf::Symbol;
use crate::engine::{CompileEffort, EngineKind};
use worker::{Worker, WorkerError};

pub use child::child_main;

/// The hidden command of the binary that [`child_main`] serves.
pub const CHILD_COMMAND: &str = "compile-component";

const SYMBOLS_MEMORY_MB: u32 = 1_024;
const SYMBOLS_TIMEOUT_MS: u32 = 5_000;

/// The bounds of one compilation.
#[derive(Debug, Clone)]
pub struct CompilePolicy {
    pub memory_mb: u32,
    /// Wall time; the child's CPU time is bounded by it times its threads.
    pub timeout_ms: u32,
    /// Compilations at once.
    pub concurrency: u32,
    pub effort: CompileEffort,
}

impl Default for CompilePolicy {
    fn default() -> Self {
        Self { memory_mb: 2_048, timeout_ms: 120_000, concurrency: 1, effort: CompileEffort::Full }
    }
}

/// Why there is no code; the text is for the publisher.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error("the component does not compile: {0}")]
    Refused(String),
    #[error("compiling took longer than {0} ms, the operator's limit")]
    Timeout(u32),
    #[error("the compiler was stopped ({0}); it may use at most {1} MiB, the operator's limit")]
    Stopped(String, u32),
    #[error("the compiler could not be started: {0}")]
    Start(#[source] std::io::Error),
}

/// What a child is asked for, a line of JSON each. Paths are bytes: not all are Unicode.
#[derive(Debug, Serialize, Deserialize)]
enum Job {
    Compile {
        kind: EngineKind,
        input: Vec<u8>,
        output: Vec<u8>,
    },
    /// What the source has at these offsets into a component.
    Symbols {
        component: Vec<u8>,
        offsets: Vec<usize>,
    },
}

/// What it answers, a line each too.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    /// None: it is done; code is in the output file.
    refusal: Option<String>,
    /// For each offset.
    symbols: Vec<Vec<Symbol>>,
}

/// Starts compile children, a few at a time.
#[derive(Debug)]
pub struct Compiler {
    policy: CompilePolicy,
    turns: Semaphore,
    /// Symbols are asked for one at a time.
    symbol_turn: Semaphore,
    /// Children that wait for their next job.
    kept: Mutex<Vec<Worker>>,
}

impl Compiler {
    pub fn new(policy: CompilePolicy) -> Self {
        let turns = Semaphore::new(policy.concurrency.max(1) as usize);
        Self { policy, turns, symbol_turn: Semaphore::new(1), kept: Mutex::default() }
    }

    /// Compiles the component at `input` to native code at `output`. Dropping the future kills the child, and leaves
    /// nothing at `output`.
    pub async fn compile(&self, kind: EngineKind, input: &Path, output: &Path) -> Result<(), CompileError> {
        let _turn = self.turns.acquire().await;
        let mut unfinished = Unfinished(Some(output));
        let job = Job::Compile { kind, input: bytes(input), output: bytes(output) };
        let deadline = Duration::from_millis(u64::from(self.policy.timeout_ms));
        match tokio::time::timeout(deadline, self.run(&job)).await {
            Err(_) => Err(CompileError::Timeout(self.policy.timeout_ms)),
            Ok(Ok(None)) => {
                unfinished.0 = None;
                Ok(())
            }
            Ok(Ok(Some(refusal))) => Err(CompileError::Refused(refusal)),
            Ok(Err(WorkerError::Start(error))) => Err(CompileError::Start(error)),
            Ok(Err(WorkerError::Ended(how))) => Err(CompileError::Stopped(how, self.policy.memory_mb)),
        }
    }

    /// What the source of the component has at each of these offsets into its file. None if it does not say, or not
    /// within the bounds of time and memory.
    pub(crate) async fn symbols(&self, component: &Path, offsets: &[usize]) -> Option<Vec<Vec<Symbol>>> {
        let _turn = self.symbol_turn.acquire().await;
        let job = Job::Symbols { component: bytes(component), offsets: offsets.to_vec() };
        let policy = CompilePolicy {
            memory_mb: SYMBOLS_MEMORY_MB,
            timeout_ms: SYMBOLS_TIMEOUT_MS,
            concurrency: 1,
            effort: CompileEffort::Full,
        };
        let asked = async {
            let mut worker = Worker::start(&policy)?;
            let answer = worker.run(&job).await?;
            worker.end().await;
            Ok::<_, WorkerError>(answer)
        };
        let deadline = Duration::from_millis(u64::from(SYMBOLS_TIMEOUT_MS));
        let answer = tokio::time::timeout(deadline, asked).await.ok()?.ok()?;
        (answer.refusal.is_none() && answer.symbols.len() == offsets.len()).then_some(answer.symbols)
    }

    /// One compilation, by a child that is there or by a new one.
    async fn run(&self, job: &Job) -> Result<Option<String>, WorkerError> {
        // One that has ended while it waited, for want of memory perhaps, says nothing about this job.
        if let Some(mut kept) = self.take_kept()
            && let Ok(answer) = kept.run(job).await
        {
            return Ok(self.keep(kept, answer).await);
        }
        let mut worker = Worker::start(&self.policy)?;
        let answer = worker.run(job).await?;
        Ok(self.keep(worker, answer).await)
    }

    fn take_kept(&self) -> Option<Worker> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    async fn keep(&self, worker: Worker, answer: Answer) -> Option<String> {
        match self.policy.effort {
            CompileEffort::Full => worker.end().await,
            CompileEffort::Little => {
                self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
            }
        }
        answer.refusal
    }
}

/// A file that goes with this value, unless the path is taken out first.
pub(crate) struct Unfinished<'a>(pub Option<&'a Path>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    PathBuf::from(path).into_os_string().into_encoded_bytes()
}
