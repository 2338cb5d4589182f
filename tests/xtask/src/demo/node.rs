//! The demo's node: a child process that ends with us.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use anyhow::{Context, Result, bail};

use super::http;
use crate::command::{program, run, step};
use crate::{requirements, workspace};

const APPS_PORT: u16 = 8100;
const ADMIN_PORT: u16 = 22345;
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(40);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

pub struct DemoNode {
    child: Child,
    pub apps: String,
    pub admin: String,
    pub data: PathBuf,
    pub log: PathBuf,
}

impl DemoNode {
    pub fn start(server: &Path, keep_data: bool, compile_effort: &str) -> Result<Self> {
        let data = workspace::target().join("demo-data");
        let log = workspace::target().join("demo-node.log");
        if !keep_data && data.exists() {
            fs::remove_dir_all(&data).with_context(|| format!("cannot empty {}", data.display()))?;
        }
        fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let apps = address(APPS_PORT)?;
        let admin = address(ADMIN_PORT)?;
        step(&format!(
            "starting a node: apps on {apps}, administration on {admin}, data in {}",
            shown(&data)
        ));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = ending_with_us(server)
            .args(["node", "--listen", &apps, "--admin", &admin, "--data"])
            .arg(&data)
            .env("TYPECASE_LIMITS__COMPILE_EFFORT", compile_effort)
            .stdout(output.try_clone()?)
            .stderr(output)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("could not start {}", server.display()))?;
        let mut node = Self { child, apps, admin, data, log };
        node.wait_until_ready()?;
        Ok(node)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("the node ended before it was ready ({status}):\n{}", self.last_words());
            }
            if http::get(&self.admin, "/readyz", Duration::from_secs(2))
                .is_ok_and(|answer| answer.status == 200)
            {
                return Ok(());
            }
            thread::sleep(POLL_INTERVAL);
        }
        bail!("the node was not ready within {} s:\n{}", READY_TIMEOUT.as_secs(), self.last_words())
    }

    /// The link that the node prints while no account exists.
    pub fn setup_link(&self) -> Option<String> {
        let log = fs::read_to_string(&self.log).ok()?;
        log.split(|character: char| character.is_whitespace() || character == '"')
            .find(|word| word.starts_with("http") && word.contains("setup"))
            .map(str::to_owned)
    }

    /// Lets the node drain, and fails when it does not end well.
    pub fn stop(&mut self) -> Result<()> {
        step("stopping the node");
        run(program("sh", Path::new("/")).args(["-c", &format!("kill -TERM {}", self.child.id())]))?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                if status.success() {
                    return Ok(());
                }
                bail!("the node ended with {status}:\n{}", self.last_words());
            }
            thread::sleep(POLL_INTERVAL);
        }
        bail!("the node did not end within {} s of SIGTERM", STOP_TIMEOUT.as_secs())
    }

    /// Ctrl-C reaches the node as well as us.
    pub fn wait(&mut self) -> Result<()> {
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the node ended with {status}:\n{}", self.last_words());
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for DemoNode {
    fn drop(&mut self) {
        // It has ended already unless something failed on the way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whoever stops the demo, by Ctrl-C or otherwise, must not leave a node behind on the ports.
fn ending_with_us(server: &Path) -> Command {
    if requirements::is_there("setpriv") {
        let mut command = typecase(Path::new("setpriv"));
        command.args(["--pdeathsig", "TERM"]).arg(server);
        command
    } else {
        typecase(server)
    }
}

/// The server's program on its embedded defaults, whatever the caller's shell configures for another one.
pub fn typecase(server: &Path) -> Command {
    let mut command = program(server, &workspace::root());
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("TYPECASE_") {
            command.env_remove(name);
        }
    }
    command
}

/// The usual port, or any free one when somebody has it.
fn address(usual: u16) -> Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", usual)).or_else(|taken| {
        if taken.kind() == io::ErrorKind::AddrInUse {
            TcpListener::bind(("127.0.0.1", 0))
        } else {
            Err(taken)
        }
    })?;
    Ok(listener.local_addr()?.to_string())
}

/// A path as one would type it in the repository's root.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(workspace::root()).unwrap_or(path).display().to_string()
}
