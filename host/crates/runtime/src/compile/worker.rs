//! A compile child, as the server sees it: jobs go in through its standard input, answers come out.

use std::io;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{Answer, Bounds, CHILD_COMMAND, Job};
use crate::engine::CompileEffort;

/// The file this process runs, also when an upgrade has put another one, or none, in its place.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// Refusals and symbols are cut to less by the child.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Killed when it is dropped.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

#[derive(Debug)]
pub enum WorkerError {
    Start(io::Error),
    /// How it ended, instead of an answer.
    Ended(String),
}

impl Worker {
    pub fn start(effort: CompileEffort, bounds: Bounds) -> Result<Self, WorkerError> {
        let mut child = Command::new(OWN_PROGRAM)
            .arg0("typecase")
            .arg(CHILD_COMMAND)
            .arg(effort.as_str())
            .arg(bounds.memory_mb.to_string())
            .arg(bounds.timeout_ms.to_string())
            .arg(std::process::id().to_string())
            .env_clear()
            // Memory that the allocator takes in advance would count against the limit as if it were used.
            .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(WorkerError::Start)?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(stdin), Some(stdout)) => Ok(Self { child, stdin, stdout: BufReader::new(stdout) }),
            _ => Err(WorkerError::Start(io::Error::other("it has no pipes"))),
        }
    }

    pub async fn run(&mut self, job: &Job) -> Result<Answer, WorkerError> {
        match self.ask(job).await {
            Ok(Some(answer)) => Ok(answer),
            // No answer, or the half of one: what became of the child says why.
            Ok(None) | Err(_) => Err(WorkerError::Ended(match self.child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            })),
        }
    }

    async fn ask(&mut self, job: &Job) -> io::Result<Option<Answer>> {
        let mut line = serde_json::to_vec(job)?;
        line.push(b'\n');
        self.stdin.write_all(&line).await?;
        self.stdin.flush().await?;
        let mut answer = String::new();
        (&mut self.stdout).take(ANSWER_BYTES_MAX).read_line(&mut answer).await?;
        match answer.is_empty() {
            true => Ok(None),
            false => Ok(Some(serde_json::from_str(&answer)?)),
        }
    }

    /// Lets it go; it has nothing more to do.
    pub async fn end(self) {
        let Self { mut child, stdin, stdout } = self;
        drop((stdin, stdout));
        let _ = child.wait().await;
    }
}
