//! Whatever reads uploaded code does so in a child process: the same binary, niced, with limits on memory, CPU and time.
//!
//! A validator, a compiler or a reader of debug information that meets hostile input can take minutes, gigabytes and more
//! stack than there is; in a child it can neither stall nor take down the server that goes on serving. A child does one job
//! and ends; with [`CompileEffort::Little`] one that compiled stays for the next component, which is often nearly the same.

mod child;
pub(crate) mod dwarf;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::engine::{CompileEffort, EngineKind};
use crate::inspect::{InspectError, Inspection};
use dwarf::Symbol;
use worker::{Worker, WorkerError};

pub use child::child_main;

/// The hidden command of the binary that [`child_main`] serves.
pub const CHILD_COMMAND: &str = "compile-component";

/// What a child may use for one job.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    memory_mb: u32,
    timeout_ms: u32,
}

const INSPECT_BOUNDS: Bounds = Bounds { memory_mb: 2_048, timeout_ms: 30_000 };
const SYMBOLS_BOUNDS: Bounds = Bounds { memory_mb: 1_024, timeout_ms: 5_000 };

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

/// Why nobody knows what is in a component.
#[derive(Debug, thiserror::Error)]
pub enum InspectFailure {
    /// The publisher's fault.
    #[error(transparent)]
    Refused(#[from] InspectError),
    /// This server's.
    #[error("no process to look at the component: {0}")]
    Host(#[source] std::io::Error),
}

/// What a child is asked for, a line of JSON each. Paths are bytes: not all are Unicode.
#[derive(Debug, Serialize, Deserialize)]
enum Job {
    Inspect {
        component: Vec<u8>,
    },
    Compile {
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
enum Answer {
    Refused(String),
    Inspected(Result<Inspection, InspectError>),
    /// The code is in the output file, for an engine of this kind.
    Compiled(EngineKind),
    /// For each offset.
    Symbols(Vec<Vec<Symbol>>),
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

    /// Looks at the component, or the core module, at `path`. What no child can look at within its bounds is refused.
    pub async fn inspect(&self, path: &Path) -> Result<Inspection, InspectFailure> {
        let job = Job::Inspect { component: bytes(path) };
        let refused = |detail: String| Err(InspectError::NotAComponent(detail).into());
        let failed = |problem: &str| Err(InspectFailure::Host(std::io::Error::other(problem)));
        match self.once(&job, INSPECT_BOUNDS).await {
            Some(Ok(Answer::Inspected(inspected))) => Ok(inspected?),
            Some(Ok(Answer::Refused(problem))) => failed(&problem),
            Some(Ok(_)) => failed("it answered something else"),
            Some(Err(WorkerError::Start(error))) => Err(InspectFailure::Host(error)),
            Some(Err(WorkerError::Ended(how))) => refused(format!(
                "looking at it took more stack or memory than it may ({how}): something in it is nested too deeply"
            )),
            None => {
                refused(format!("looking at it took longer than {} s", INSPECT_BOUNDS.timeout_ms / 1_000))
            }
        }
    }

    /// Compiles the component, or the core module, at `input` to native code at `output`, for the engine that suits it.
    /// Dropping the future kills the child, and leaves nothing at `output`.
    pub async fn compile(&self, input: &Path, output: &Path) -> Result<EngineKind, CompileError> {
        let _turn = self.turns.acquire().await;
        let mut unfinished = Unfinished(Some(output));
        let job = Job::Compile { input: bytes(input), output: bytes(output) };
        let deadline = Duration::from_millis(u64::from(self.policy.timeout_ms));
        match tokio::time::timeout(deadline, self.run(&job)).await {
            Err(_) => Err(CompileError::Timeout(self.policy.timeout_ms)),
            Ok(Ok(Answer::Compiled(kind))) => {
                unfinished.0 = None;
                Ok(kind)
            }
            Ok(Ok(Answer::Refused(refusal))) => Err(CompileError::Refused(refusal)),
            Ok(Ok(_)) => Err(CompileError::Refused("the compiler answered something else".into())),
            Ok(Err(WorkerError::Start(error))) => Err(CompileError::Start(error)),
            Ok(Err(WorkerError::Ended(how))) => Err(CompileError::Stopped(how, self.policy.memory_mb)),
        }
    }

    /// What the source of the component has at each of these offsets into its file. None if it does not say, or not
    /// within the bounds of time and memory.
    pub(crate) async fn symbols(&self, component: &Path, offsets: &[usize]) -> Option<Vec<Vec<Symbol>>> {
        let _turn = self.symbol_turn.acquire().await;
        let job = Job::Symbols { component: bytes(component), offsets: offsets.to_vec() };
        match self.once(&job, SYMBOLS_BOUNDS).await {
            Some(Ok(Answer::Symbols(symbols))) if symbols.len() == offsets.len() => Some(symbols),
            _ => None,
        }
    }

    /// A job for a child of its own. None when its time is up.
    async fn once(&self, job: &Job, bounds: Bounds) -> Option<Result<Answer, WorkerError>> {
        let asked = async {
            let mut worker = Worker::start(CompileEffort::Full, bounds)?;
            let answer = worker.run(job).await?;
            worker.end().await;
            Ok(answer)
        };
        tokio::time::timeout(Duration::from_millis(u64::from(bounds.timeout_ms)), asked).await.ok()
    }

    /// One compilation, by a child that is there or by a new one.
    async fn run(&self, job: &Job) -> Result<Answer, WorkerError> {
        // One that has ended while it waited, for want of memory perhaps, says nothing about this job.
        if let Some(mut kept) = self.take_kept()
            && let Ok(answer) = kept.run(job).await
        {
            return Ok(self.keep(kept, answer).await);
        }
        let CompilePolicy { memory_mb, timeout_ms, effort, .. } = self.policy;
        let mut worker = Worker::start(effort, Bounds { memory_mb, timeout_ms })?;
        let answer = worker.run(job).await?;
        Ok(self.keep(worker, answer).await)
    }

    fn take_kept(&self) -> Option<Worker> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    async fn keep(&self, worker: Worker, answer: Answer) -> Answer {
        match self.policy.effort {
            CompileEffort::Full => worker.end().await,
            CompileEffort::Little => {
                self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
            }
        }
        answer
    }
}

/// A file that goes with this value, unless the path is taken out first.
struct Unfinished<'a>(Option<&'a Path>);

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
