//! A program that a test has started: its log, its signals and its end.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{eventually, pause};

/// Lines of a log that a failed test shows.
const LOG_LINES_SHOWN: usize = 40;

/// A master process needs this to end its workers, and no more; then it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(2);
const END_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Where programs for administrators are; the search path of others leaves these folders out.
const ADMIN_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// A running program, or one that was stopped; killed when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    log: PathBuf,
    child: Option<Child>,
}

/// A command that runs a program; the package's name is for whoever has not installed it.
pub(super) fn command(program: &str, package: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(ADMIN_FOLDERS.map(PathBuf::from));
    let found = folders.map(|folder| folder.join(program)).find(|path| path.is_file());
    let found = found.unwrap_or_else(|| panic!("{program} is missing: install the package {package}"));
    let mut command = Command::new(found);
    command.stdin(Stdio::null());
    command
}

/// Most programs insist on being told so.
pub(super) fn runs_as_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Process {
    /// A program that is not started yet and will write its log into this folder.
    pub fn new(name: &'static str, folder: &Path) -> Self {
        Self { name, log: folder.join(format!("{name}.log")), child: None }
    }

    /// Starts it; what it prints goes to the end of its log.
    pub fn spawn(&mut self, mut command: Command) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = OpenOptions::new().create(true).append(true).open(&self.log).expect("the log is opened");
        let errors = log.try_clone().expect("the log is opened twice");
        let child = command.stdout(log).stderr(errors).spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{command:?}: {error}")));
    }

    /// Waits until it answers; a program that ends instead fails the test with its log.
    pub async fn wait_until(&mut self, what: &str, mut answers: impl AsyncFnMut() -> bool) {
        eventually(&format!("{}: {what}", self.name), async || {
            assert!(self.is_running(), "{} ended:\n{}", self.name, self.log_end());
            answers().await.then_some(())
        })
        .await;
    }

    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    pub fn id(&self) -> u32 {
        self.child().id()
    }

    fn child(&self) -> &Child {
        self.child.as_ref().unwrap_or_else(|| panic!("{} is stopped", self.name))
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child()), signal).expect("the signal is sent");
    }

    /// From here on it answers nothing.
    pub async fn pause(&self) {
        pause::pause(self.name, self.child()).await;
    }

    pub fn resume(&self) {
        pause::resume(self.child());
    }

    /// Asks it to end, and waits until it has. A frozen one wakes for that.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
        let name = self.name;
        let mut child = self.child.take().expect("it was signalled");
        eventually(&format!("the end of {name}"), async || child.try_wait().ok().flatten()).await;
    }

    /// Asks it to end, in a place that cannot wait for long.
    pub fn end(&mut self) {
        if self.is_running() {
            self.signal(Signal::TERM);
            self.signal(Signal::CONT);
            let end = Instant::now() + END_TIMEOUT;
            while self.is_running() && Instant::now() < end {
                std::thread::sleep(END_POLL_INTERVAL);
            }
        }
    }

    /// Ends it as a power cut would, and with it the processes that it has started: nginx's workers outlive their
    /// master.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Frozen first, lest it start others meanwhile.
            let _ = kill_process(Pid::from_child(&child), Signal::STOP);
            let started = children(child.id());
            let _ = child.kill();
            for pid in started.into_iter().filter_map(|id| Pid::from_raw(id as i32)) {
                let _ = kill_process(pid, Signal::KILL);
            }
            let _ = child.wait();
        }
    }

    /// The processes that it has started itself.
    pub fn children(&self) -> Vec<u32> {
        children(self.id())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }
}

fn children(process: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of {} ends with:\n{}\n", self.name, self.log_end());
        }
        self.kill9();
    }
}
