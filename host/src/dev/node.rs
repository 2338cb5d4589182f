//! The node that `typecase dev` runs: a child process, so that it is the same node as everywhere, with a private data
//! folder and ports of its own. It ends when this process does, however that ends.

mod log;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

pub use log::NodeLine;

/// The file this process runs, also when an upgrade has put another one, or none, in its place.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// A node with hundreds of releases in a folder on a slow disk.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Whoever ends `typecase dev` does not want to wait.
const STOP_TIMEOUT: Duration = Duration::from_millis(700);
/// What a node said last is shown when it ends.
const LAST_LINES_MAX: usize = 12;
/// Lines that may wait for the terminal; a guest that writes more waits, as at any pipe.
const LINES_MAX: usize = 1_024;

/// What differs from a node as it is installed: nobody balances in front of it, and it is asked to be quick.
const SETTINGS: [(&str, &str); 8] = [
    ("LOG__FORMAT", "json"),
    ("LOG__ACCESS", "off"),
    ("DRAIN__DELAY_MS", "0"),
    ("DRAIN__GRACE_MS", "0"),
    ("LIMITS__COMPILE_EFFORT", "little"),
    ("STORAGE__SYNC", "off"),
    ("INGRESS__BASE_DOMAIN", "localhost"),
    ("NODE__NAME", "dev"),
];

#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Absolute; nobody else uses it at the same time.
    pub data: PathBuf,
}

/// A running node; killed when it is dropped.
#[derive(Debug)]
pub struct DevNode {
    child: Child,
    /// The node ends when this is closed.
    _stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<NodeLine>,
    /// What it said last and nobody was shown.
    last: VecDeque<String>,
    pub apps: SocketAddr,
    pub admin: SocketAddr,
}

#[derive(Debug, thiserror::Error)]
pub enum NodeStartError {
    #[error("the development node cannot be started: {0}")]
    Spawn(#[from] io::Error),
    #[error("the development node ended ({0})")]
    Ended(ExitStatus, String),
    #[error("the development node was not ready within {} s", START_TIMEOUT.as_secs())]
    Timeout(String),
}

impl NodeStartError {
    /// What the node itself said.
    pub fn said(&self) -> &str {
        match self {
            Self::Spawn(_) => "",
            Self::Ended(_, said) | Self::Timeout(said) => said,
        }
    }
}

impl DevNode {
    /// Starts a node and waits until it is ready.
    pub async fn start(options: &NodeOptions) -> Result<Self, NodeStartError> {
        let mut child = command(&options.data).spawn()?;
        let (sender, lines) = mpsc::channel(LINES_MAX);
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(async move {
                let mut pieces = BufReader::new(stderr).split(b'\n');
                while let Ok(Some(line)) = pieces.next_segment().await {
                    if sender.send(NodeLine::parse(&String::from_utf8_lossy(&line))).await.is_err() {
                        return;
                    }
                }
            });
        }
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let _stdin = child.stdin.take();
        let mut node = Self { child, _stdin, lines, last: VecDeque::new(), apps: nowhere, admin: nowhere };
        match tokio::time::timeout(START_TIMEOUT, node.ready()).await {
            Ok(Some((apps, admin))) => {
                (node.apps, node.admin) = (apps, admin);
                Ok(node)
            }
            Ok(None) => {
                let status = node.child.wait().await?;
                Err(NodeStartError::Ended(status, node.said()))
            }
            Err(_) => Err(NodeStartError::Timeout(node.said())),
        }
    }

    /// The addresses that it says it has; none when it ends first.
    async fn ready(&mut self) -> Option<(SocketAddr, SocketAddr)> {
        loop {
            if let NodeLine::Ready { apps, admin } = self.line().await? {
                return Some((apps, admin));
            }
        }
    }

    /// The next line of its log; none once it has ended.
    pub async fn line(&mut self) -> Option<NodeLine> {
        let line = self.lines.recv().await?;
        if let NodeLine::Node { is_problem: true, text } | NodeLine::Raw(text) = &line {
            if self.last.len() == LAST_LINES_MAX {
                self.last.pop_front();
            }
            self.last.push_back(text.clone());
        }
        Some(line)
    }

    /// How it ended, after the last of its lines.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// What it said last.
    pub fn said(&self) -> String {
        let lines: Vec<&str> = self.last.iter().map(String::as_str).collect();
        lines.join("\n")
    }

    /// Ends it in order, or soon.
    pub async fn stop(mut self) {
        if let Some(process) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // Gone already is what was wanted.
            let _ = kill_process(process, Signal::TERM);
        }
        // Its last lines are nobody's concern, but it must be able to write them.
        let drained = async { while self.lines.recv().await.is_some() {} };
        if tokio::time::timeout(STOP_TIMEOUT, async { tokio::join!(self.child.wait(), drained) })
            .await
            .is_err()
        {
            let _ = self.child.kill().await;
        }
    }
}

fn command(data: &Path) -> Command {
    let mut command = Command::new(OWN_PROGRAM);
    command.arg0("typecase").arg("node").arg("--with-stdin");
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"]).arg(data);
    // What this machine's real node is told is not meant for this one: neither its cluster nor its secrets.
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"TYPECASE_") {
            command.env_remove(name);
        }
    }
    for (key, value) in SETTINGS {
        command.env(OsString::from(format!("TYPECASE_{key}")), value);
    }
    // A group of its own: Ctrl-C is for us, and we tell the node.
    command.process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}
