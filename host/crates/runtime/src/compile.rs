//! Compilation in a child process: the same binary, niced, with limits on memory, CPU and time.
//!
//! A compiler run on hostile input can take minutes and gigabytes, which wasmtime does not call a bug; in a
//! child it can neither stall nor take down the server that goes on serving.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::engine::{WasiGeneration, compiler_engine};

/// The hidden command of the binary that [`child_main`] serves.
pub const CHILD_COMMAND: &str = "compile-component";

/// How much of the child's error text is kept.
const ERROR_BYTES_MAX: u64 = 16 * 1024;

const NICENESS: i32 = 10;

/// The bounds of one compilation.
#[derive(Debug, Clone)]
pub struct CompilePolicy {
    pub memory_mb: u32,
    /// Wall time; the child's CPU time is bounded by it times its threads.
    pub timeout_ms: u32,
    /// Compilations at once.
    pub concurrency: u32,
}

impl Default for CompilePolicy {
    fn default() -> Self {
        Self { memory_mb: 2_048, timeout_ms: 120_000, concurrency: 1 }
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

/// Starts compile children, a few at a time.
#[derive(Debug)]
pub struct Compiler {
    policy: CompilePolicy,
    turns: Semaphore,
}

/// The file this process runs, also when an upgrade has put another one, or none, in its place.
const OWN_PROGRAM: &str = "/proc/self/exe";

impl Compiler {
    pub fn new(policy: CompilePolicy) -> Self {
        let turns = Semaphore::new(policy.concurrency.max(1) as usize);
        Self { policy, turns }
    }

    /// Compiles the component at `input` to native code at `output`.
    pub async fn compile(
        &self,
        generation: WasiGeneration,
        input: &Path,
        output: &Path,
    ) -> Result<(), CompileError> {
        let _turn = self.turns.acquire().await;
        let mut child = Command::new(OWN_PROGRAM)
            .arg0("typecase")
            .arg(CHILD_COMMAND)
            .arg(generation.as_str())
            .arg(self.policy.memory_mb.to_string())
            .arg(self.policy.timeout_ms.to_string())
            .arg(std::process::id().to_string())
            .arg(input)
            .arg(output)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(CompileError::Start)?;
        let stderr = child.stderr.take();
        let run = async {
            let mut text = Vec::new();
            if let Some(stderr) = stderr {
                let _ = stderr.take(ERROR_BYTES_MAX).read_to_end(&mut text).await;
            }
            (child.wait().await, String::from_utf8_lossy(&text).trim().to_owned())
        };
        let deadline = Duration::from_millis(u64::from(self.policy.timeout_ms));
        match tokio::time::timeout(deadline, run).await {
            Err(_) => Err(CompileError::Timeout(self.policy.timeout_ms)),
            Ok((Err(error), _)) => Err(CompileError::Start(error)),
            Ok((Ok(status), _)) if status.success() => Ok(()),
            Ok((Ok(status), text)) if status.code() == Some(1) => Err(CompileError::Refused(text)),
            Ok((Ok(status), _)) => Err(CompileError::Stopped(status.to_string(), self.policy.memory_mb)),
        }
    }
}

/// The child's whole life: limit itself, read, compile, write. Returns the exit code.
///
/// Arguments: generation, memory in MiB, time in milliseconds, process id of the server, input path, output path.
pub fn child_main(arguments: &[OsString]) -> u8 {
    match child(arguments) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}

fn child(arguments: &[OsString]) -> Result<(), String> {
    let [generation, memory_mb, timeout_ms, server, input, output] = arguments else {
        return Err("this command is started by the server, not by hand".into());
    };
    let number = |text: &OsString| text.to_str().and_then(|text| text.parse::<u64>().ok());
    let generation = generation.to_str().and_then(WasiGeneration::parse).ok_or("bad generation")?;
    let memory_bytes = number(memory_mb).ok_or("bad memory limit")? * 1024 * 1024;
    let cpu_s = number(timeout_ms).ok_or("bad time limit")? * 4 / 1_000;
    limit_self(memory_bytes, cpu_s).map_err(|error| format!("setting limits: {error}"))?;
    let parent = rustix::process::getppid().map(|parent| u64::from(parent.as_raw_pid().unsigned_abs()));
    if parent != number(server) {
        return Err("the server that wanted this is gone".into());
    }
    let component = std::fs::read(input).map_err(|error| format!("reading the input: {error}"))?;
    let engine = compiler_engine(generation).map_err(|error| format!("{error:#}"))?;
    let code = engine.precompile_component(&component).map_err(|error| format!("{error:#}"))?;
    std::fs::write(output, code).map_err(|error| format!("writing the code: {error}"))
}

fn limit_self(memory_bytes: u64, cpu_s: u64) -> rustix::io::Result<()> {
    let to = |limit: u64| Rlimit { current: Some(limit), maximum: Some(limit) };
    // A server that was killed must not leave a compiler behind, which writes into the next one's cache.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::process::setrlimit(Resource::Data, to(memory_bytes))?;
    rustix::process::setrlimit(Resource::Cpu, to(cpu_s.max(1)))?;
    rustix::process::setrlimit(Resource::Core, to(0))?;
    rustix::process::nice(NICENESS)?;
    Ok(())
}
