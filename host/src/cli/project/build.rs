//! Runs the manifest's `[build] command`, and looks whether it made what the manifest names.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use typecase_model::manifest::Build;

use super::Project;
use crate::cli::failure::{Exit, Failure};

/// Compilers that fail say it in some hundred lines; of more the end is kept, where the error stands.
const OUTPUT_BYTES_MAX: usize = 256 << 10;
const PIECE_BYTES: usize = 16 << 10;
/// A helper that the build left behind may hold the pipe open for ever; what was said before is there by now.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// Where the command's stdout and stderr go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildOutput {
    /// To this process's stderr: stdout is for data.
    Inherited,
    /// Into the result, in the order in which it was written.
    Captured,
    /// Both: shown as it comes, and kept.
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
            Some(Build { command, .. }) => format!(
                "`{command}` left no component at {component}: correct `component` of [app] in {manifest}, or the command"
            ),
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
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).current_dir(workdir).stdin(Stdio::null());
    // Of no use to a build, and a secret.
    shell.env_remove("TYPECASE_TOKEN");
    // A group of its own: what the command starts can be ended with it.
    shell.process_group(0);
    if output == BuildOutput::Copied {
        // Shown at a terminal, though what the command writes to is none.
        shell.env("CARGO_TERM_COLOR", "always").env("CLICOLOR_FORCE", "1").env("FORCE_COLOR", "1");
    }
    let pipe = match output {
        BuildOutput::Inherited => {
            shell.stdout(io::stderr()).stderr(Stdio::inherit());
            None
        }
        BuildOutput::Captured | BuildOutput::Copied => {
            let (reader, writer) = io::pipe()?;
            shell.stdout(writer.try_clone()?).stderr(writer);
            Some(pipe::Receiver::from_owned_fd(reader.into())?)
        }
    };
    let mut running = Running::start(shell)?;
    match pipe {
        None => running.wait().await,
        Some(mut pipe) => {
            let keep = &mut |piece: &[u8]| keep(said, piece, output == BuildOutput::Copied);
            let ended = loop {
                let mut piece = vec![0; PIECE_BYTES];
                tokio::select! {
                    ended = running.wait() => break ended,
                    length = pipe.read(&mut piece) => match length? {
                        0 => break running.wait().await,
                        length => keep(&piece[..length]),
                    },
                }
            };
            // What the command said last may still be on its way.
            let rest = async {
                let mut piece = vec![0; PIECE_BYTES];
                while let Ok(length @ 1..) = pipe.read(&mut piece).await {
                    keep(&piece[..length]);
                }
            };
            let _ = tokio::time::timeout(DRAIN_TIMEOUT, rest).await;
            ended
        }
    }
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

/// A command with everything it started; ended with this value.
struct Running {
    child: Child,
    /// None once it has ended: the number may be somebody else's by then.
    group: Option<Pid>,
}

impl Running {
    fn start(mut command: Command) -> io::Result<Self> {
        let child = command.spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Self { child, group })
    }

    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let ended = self.child.wait().await;
        self.group = None;
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // Gone already is what was wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
