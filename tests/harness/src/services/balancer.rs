//! Real load balancers in front of the nodes, run with whatever configuration a test gives them.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::Port;
use super::process::{Process, command, runs_as_root};
use crate::command::run_command;
use crate::eventually;

/// A running nginx; killed when it is dropped.
#[derive(Debug)]
pub struct Nginx(Balancer);

/// A running haproxy; killed when it is dropped.
#[derive(Debug)]
pub struct Haproxy(Balancer);

impl Nginx {
    /// Starts it with a configuration that listens on this port: a whole one, or what belongs between the braces
    /// of `http { }`.
    pub async fn start(port: Port, config: &str) -> Self {
        let folder = folder();
        let config_path = write(folder.path(), &whole_nginx_config(folder.path(), config));
        let mut nginx = nginx_command(folder.path(), &config_path);
        // In the foreground, so that it is ours to end. A pid file is of no use then, but it insists on one.
        nginx.arg("-g").arg(nginx_globals(folder.path(), config));
        Self(Balancer::start("nginx", folder, port, nginx).await)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.port.address()
    }

    /// Gives it another configuration; new connections meet it when this returns.
    pub async fn reload(&mut self, config: &str) {
        let folder = self.0.folder.path();
        let config_path = write(folder, &whole_nginx_config(folder, config));
        let mut check = nginx_command(folder, &config_path);
        check.arg("-t").arg("-g").arg(nginx_globals(folder, config));
        self.0.reload(check, Signal::HUP).await;
    }

    pub fn log(&self) -> String {
        self.0.process.log()
    }
}

impl Haproxy {
    /// Starts it with a whole configuration that listens on this port.
    pub async fn start(port: Port, config: &str) -> Self {
        let folder = folder();
        let config_path = write(folder.path(), &for_this_user(config));
        let mut haproxy = command("haproxy", "haproxy");
        // A master that stays in the foreground, with workers that a reload replaces.
        haproxy.args(["-W", "-db", "-f"]).arg(config_path);
        Self(Balancer::start("haproxy", folder, port, haproxy).await)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.port.address()
    }

    /// Gives it another configuration; new connections meet it when this returns.
    pub async fn reload(&mut self, config: &str) {
        let config_path = write(self.0.folder.path(), &for_this_user(config));
        let mut check = command("haproxy", "haproxy");
        check.args(["-c", "-f"]).arg(config_path);
        self.0.reload(check, Signal::USR2).await;
    }

    pub fn log(&self) -> String {
        self.0.process.log()
    }
}

/// What both have in common: a master process whose workers serve.
#[derive(Debug)]
struct Balancer {
    process: Process,
    folder: TempDir,
    port: Port,
}

impl Balancer {
    async fn start(name: &'static str, folder: TempDir, port: Port, command: Command) -> Self {
        let process = Process::new(name, folder.path());
        let mut balancer = Self { process, folder, port };
        balancer.process.spawn(command);
        let address = balancer.port.address();
        let connects = async || TcpStream::connect(address).await.is_ok();
        balancer.process.wait_until(&format!("a connection to {address}"), connects).await;
        balancer
    }

    async fn reload(&mut self, check: Command, signal: Signal) {
        run_command(check).await.expect(0);
        let before = self.process.children();
        self.process.signal(signal);
        eventually("new workers, and none of the old ones listening", async || {
            let now = self.process.children();
            let has_new = now.iter().any(|worker| !before.contains(worker));
            (has_new && !before.iter().any(|worker| now.contains(worker) && listens(*worker))).then_some(())
        })
        .await;
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.process.end();
    }
}

/// Whether a process holds a listening socket.
fn listens(process: u32) -> bool {
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    // Columns: state fourth, where 0A is listening; inode tenth.
    let listening: Vec<String> = sockets
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|columns| columns.get(3) == Some(&"0A"))
        .filter_map(|columns| Some(format!("socket:[{}]", columns.get(9)?)))
        .collect();
    let Ok(handles) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    let mut targets = handles.flatten().filter_map(|handle| fs::read_link(handle.path()).ok());
    targets.any(|target| listening.iter().any(|socket| target.as_os_str() == socket.as_str()))
}

/// Open to workers that run as another user.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("the folder is opened");
    folder
}

fn write(folder: &Path, config: &str) -> PathBuf {
    let path = folder.join("balancer.conf");
    fs::write(&path, config).expect("the configuration is written");
    path
}

fn nginx_command(folder: &Path, config: &Path) -> Command {
    let mut nginx = command("nginx", "nginx");
    nginx.arg("-p").arg(folder).arg("-e").arg("stderr").arg("-c").arg(config);
    nginx
}

/// What only the harness can know, unless the configuration says it: nginx refuses a directive that is said twice.
fn nginx_globals(folder: &Path, config: &str) -> String {
    let says = |directive: &str| config.lines().any(|line| line.trim_start().starts_with(directive));
    let mut globals = "daemon off;".to_owned();
    if !says("pid ") {
        globals.push_str(&format!(" pid {};", folder.join("nginx.pid").display()));
    }
    if runs_as_root() && !says("user ") {
        globals.push_str(" user root;");
    }
    globals
}

/// A configuration for a whole server, or one without the parts around it; with folders that this user may write.
fn whole_nginx_config(folder: &Path, config: &str) -> String {
    let mut places = String::new();
    for place in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let directive = format!("{place}_temp_path");
        if !config.contains(&directive) {
            places.push_str(&format!("    {directive} {};\n", folder.join(place).display()));
        }
    }
    match config.split_once("\nhttp {\n") {
        Some((before, after)) => format!("{before}\nhttp {{\n{places}{after}"),
        None => format!(
            "error_log stderr notice;\nevents {{}}\nhttp {{\n    access_log off;\n{places}{config}\n}}\n"
        ),
    }
}

/// A configuration that changes to a user of its own, which only root may do.
fn for_this_user(config: &str) -> String {
    let changes_user =
        |line: &&str| line.trim_start().starts_with("user ") || line.trim_start().starts_with("group ");
    if runs_as_root() {
        return config.to_owned();
    }
    config.lines().filter(|line| !changes_user(line)).flat_map(|line| [line, "\n"]).collect()
}
