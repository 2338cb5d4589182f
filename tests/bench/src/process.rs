//! Servers as child processes: started, waited for, measured through /proc, stopped with everything they started.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use crate::connection;
use crate::options::Bench;

const READY_TIMEOUT: Duration = Duration::from_secs(120);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Clock ticks of /proc/PID/stat; a constant of Linux's interface to user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// What one would type to start it.
    pub command: String,
    log: PathBuf,
}

impl Server {
    pub fn start<S: AsRef<OsStr>>(
        bench: &Bench,
        name: &str,
        program: impl AsRef<OsStr>,
        arguments: &[S],
    ) -> Result<Self> {
        let log = bench.folder.join("log").join(format!("{}.log", name.replace(['/', ' '], "-")));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let words = std::iter::once(program.as_ref()).chain(arguments.iter().map(AsRef::as_ref));
        // As one would type it in the repository's root.
        let root = format!("{}/", bench.root.display());
        let command =
            words.map(|word| word.to_string_lossy().replace(&root, "")).collect::<Vec<_>>().join(" ");
        let mut child = Command::new(program.as_ref());
        // What the caller's shell configures for a server of its own is not what is measured.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TYPECASE_"))
        {
            child.env_remove(name);
        }
        let child = child
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // A group of its own, so that workers of the server can be stopped with it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not start `{command}`"))?;
        Ok(Self { child, command, log })
    }

    /// Waits for a 200 on the given address and path; gives back how long it took from now.
    pub async fn wait_for(&mut self, address: &str, path: &str) -> Result<Duration> {
        let started = Instant::now();
        while started.elapsed() < READY_TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                bail!("`{}` ended ({status}):\n{}", self.command, self.last_words());
            }
            if connection::get_once(address, path).await.is_ok_and(|answer| answer.status == 200) {
                return Ok(started.elapsed());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        bail!(
            "`{}` did not answer 200 on http://{address}{path} within {} s:\n{}",
            self.command,
            READY_TIMEOUT.as_secs(),
            self.last_words()
        )
    }

    /// Asks the server to end; insists when it takes too long.
    pub async fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM);
        if tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await.is_err() {
            self.signal(Signal::KILL);
            self.child.wait().await?;
        }
        Ok(())
    }

    /// Processor time of the server and its workers so far.
    pub fn cpu(&self) -> Duration {
        let ticks: u64 = self.processes().into_iter().filter_map(cpu_ticks).sum();
        Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND)
    }

    /// Anonymous memory of the server and its workers, in KiB: what nothing else on the machine can share.
    pub fn anonymous_kib(&self) -> Result<u64> {
        let mut sum = 0;
        for process in self.processes() {
            let status = fs::read_to_string(format!("/proc/{process}/status"))?;
            sum += status
                .lines()
                .find_map(|line| line.strip_prefix("RssAnon:"))
                .and_then(|rest| rest.split_whitespace().next())
                .and_then(|number| number.parse::<u64>().ok())
                .context("this kernel does not tell RssAnon")?;
        }
        Ok(sum)
    }

    /// The server and all that came from it.
    fn processes(&self) -> Vec<u32> {
        let Some(root) = self.child.id() else {
            return Vec::new();
        };
        let parents = parents();
        let mut family = vec![root];
        let mut next = 0;
        while next < family.len() {
            let parent = family[next];
            family.extend(parents.iter().filter(|(_, its)| *its == parent).map(|(child, _)| *child));
            next += 1;
        }
        family
    }

    fn signal(&self, signal: Signal) {
        let group = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = group {
            // A group that is gone already is what we want.
            let _ = kill_process_group(group, signal);
        }
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// An address on the loopback that nobody listens on.
pub fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Whether a program of that name is on the PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Debian keeps nginx in /usr/sbin, which is not on everybody's PATH.
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// Every process with its parent.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|process| Some((process, stat(process)?.get(1)?.parse().ok()?)))
        .collect()
}

fn cpu_ticks(process: u32) -> Option<u64> {
    let stat = stat(process)?;
    let user: u64 = stat.get(11)?.parse().ok()?;
    let system: u64 = stat.get(12)?.parse().ok()?;
    Some(user + system)
}

/// The fields of /proc/PID/stat after the name, which may itself contain spaces and parentheses.
fn stat(process: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}
