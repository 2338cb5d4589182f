//! Runs the manifest's `[build] command`, and looks whether it made what the manifest names.

use std::env;
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use futures_util::future::OptionFuture;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use typecase_model::manifest::Build;

use super::Project;
use super::running::{self, Running};
use crate::cli::elapsed::Elapsed;
use crate::cli::failure::{Exit, Failure};

/// Compilers that fail say it in some hundred lines; of more the end is kept, where the error stands.
const OUTPUT_BYTES_MAX: usize = 256 << 10;
const PIECE_BYTES: usize = 16 << 10;
/// A helper that the build left behind may hold the pipe open for ever; what was said before is there by now.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// What is shown at a terminal, though the command writes to none. Progress bars need a width, which is that of all terminals.
const PROGRESS: [(&str, &str); 2] =
    [("CARGO_TERM_PROGRESS_WHEN", "always"), ("CARGO_TERM_PROGRESS_WIDTH", "80")];
/// For whoever has not said that no colours are wanted (`NO_COLOR`).
const COLORS: [(&str, &str); 3] =
    [("CARGO_TERM_COLOR", "always"), ("CLICOLOR_FORCE", "1"), ("FORCE_COLOR", "1")];

/// Where cargo puts what it makes, if not into the project.
const CARGO_TARGET: &str = "CARGO_TARGET_DIR";

/// Where the command's stdout and stderr go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildOutput {
    /// Into the result, in the order in which it was written.
    Captured,
    /// To this process's stderr as well, which is a terminal; how long it says nothing is counted there.
    Copied,
}

/// A build that went well.
#[derive(Debug)]
pub struct Built {
    /// What the command said, if that was captured.
    pub output: String,
    pub duration: Duration,
}

/// A build that did not.
#[derive(Debug)]
pub struct BuildFailed {
    pub failure: Failure,
    /// What the command said, if that was captured; it may hold terminal escapes.
    pub output: String,
}

impl Project {
    /// Runs the build command, if there is one. Dropping the future ends the command and all it started.
    ///
    /// There is no deadline: how long a build takes is its author's business, who sees it and can interrupt it.
    pub async fn build(&self, output: BuildOutput) -> Result<Built, BuildFailed> {
        let started = Instant::now();
        let mut said = Vec::new();
        let result = match &self.manifest().build {
            Some(build) => self.run(build, output, &mut said).await,
            None => Ok(()),
        };
        let output = String::from_utf8_lossy(&said).into_owned();
        match result.and_then(|()| self.require_component()) {
            Ok(()) => Ok(Built { output, duration: started.elapsed() }),
            Err(failure) => Err(BuildFailed { failure, output }),
        }
    }

    async fn run(&self, build: &Build, output: BuildOutput, said: &mut Vec<u8>) -> Result<(), Failure> {
        let workdir = self.workdir();
        if !workdir.is_dir() {
            let detail = format!(
                "the folder {} does not exist: correct `workdir` of [build] in {}",
                workdir.display(),
                self.manifest_file().display()
            );
            return Err(Failure::local(Exit::Failed, "build-workdir-missing", detail));
        }
        let status = match run_command(&build.command, &workdir, output, said).await {
            Ok(status) => status,
            Err(error) => {
                let detail = format!("cannot run `{}` in {}: {error}", build.command, workdir.display());
                return Err(Failure::local(Exit::Failed, "build-failed", detail));
            }
        };
        if status.success() { Ok(()) } else { Err(failed(&build.command, &workdir, status)) }
    }

    /// Fails when the component that the manifest names is not there.
    fn require_component(&self) -> Result<(), Failure> {
        let Some(component) = self.component() else { return Ok(()) };
        if component.is_file() {
            return Ok(());
        }
        let (component, manifest) = (component.display(), self.manifest_file().display());
        let detail = match &self.manifest().build {
            Some(Build { command, .. }) => {
                let elsewhere = match env::var(CARGO_TARGET) {
                    Ok(folder) => format!(" ({CARGO_TARGET} has cargo build in {folder}: unset it here)"),
                    Err(_) => String::new(),
                };
                format!(
                    "`{command}` left no component at {component}{elsewhere}: correct `component` of [app] in {manifest}, or the command"
                )
            }
            None => format!(
                "the component {component} does not exist, and {manifest} does not say how it is built: add `[build]` with `command = \"...\"`"
            ),
        };
        let failure = Failure::local(Exit::Failed, "component-missing", detail);
        Err(match super::artifacts::find(&self.workdir()) {
            found if found.is_empty() => failure,
            found => failure.advise(format!("there is {}", found.join(", "))),
        })
    }
}

fn failed(command: &str, workdir: &Path, status: ExitStatus) -> Failure {
    let workdir = workdir.display();
    let failure = Failure::local(
        Exit::Failed,
        "build-failed",
        format!("the build failed: `{command}` in {workdir} ended with {status}"),
    );
    match status.code() {
        // What shells say of a program that is not there, or is none.
        Some(127) => {
            failure.advise("a program of the command was not found: install it, or correct PATH".into())
        }
        Some(126) => failure.advise("the shell may not run the command: make it executable".into()),
        _ => failure,
    }
}

async fn run_command(
    command: &str,
    workdir: &Path,
    output: BuildOutput,
    said: &mut Vec<u8>,
) -> io::Result<ExitStatus> {
    let mut shell = running::shell(command);
    // Of no use to a build, and a secret.
    shell.current_dir(workdir).env_remove("TYPECASE_TOKEN");
    let is_shown = output == BuildOutput::Copied;
    if is_shown {
        shell.envs(PROGRESS);
        if env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) {
            shell.envs(COLORS);
        }
    }
    let (reader, writer) = io::pipe()?;
    shell.stdout(writer.try_clone()?).stderr(writer);
    let mut pipe = pipe::Receiver::from_owned_fd(reader.into())?;
    let mut running = Running::start(shell)?;

    let mut elapsed = is_shown.then(|| Elapsed::start("at work"));
    let ended = loop {
        let mut piece = vec![0; PIECE_BYTES];
        // An unfinished line, such as a progress bar, is not written over.
        let count = elapsed.as_mut().filter(|_| matches!(said.last(), None | Some(b'\n')));
        tokio::select! {
            ended = running.wait() => break ended,
            length = pipe.read(&mut piece) => {
                if let Some(elapsed) = &mut elapsed {
                    elapsed.interrupt();
                }
                match length? {
                    0 => break running.wait().await,
                    length => keep(said, &piece[..length], is_shown),
                }
            }
            Some(never) = OptionFuture::from(count.map(Elapsed::count)) => match never {},
        }
    };
    drop(elapsed);
    // What the command said last may still be on its way.
    let rest = async {
        let mut piece = vec![0; PIECE_BYTES];
        while let Ok(length @ 1..) = pipe.read(&mut piece).await {
            keep(said, &piece[..length], is_shown);
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, rest).await;
    ended
}

fn keep(said: &mut Vec<u8>, piece: &[u8], copy: bool) {
    if copy {
        // A terminal that went away is no reason to end a build.
        let _ = io::Write::write_all(&mut io::stderr(), piece);
    }
    said.extend_from_slice(piece);
    // Cut in halves, so that a command that never stops talking costs little.
    if said.len() > 2 * OUTPUT_BYTES_MAX {
        said.drain(..said.len() - OUTPUT_BYTES_MAX);
    }
}
