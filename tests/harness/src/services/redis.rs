//! A real Redis that remembers nothing across a restart.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Port;
use super::process::{Process, command};
use crate::command::run_command;

/// A Redis server; killed when it is dropped.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    folder: TempDir,
    port: Port,
    password: Option<String>,
    /// Commands that the tests have sent, to be left out when the nodes' are counted.
    own_commands: AtomicU64,
}

impl Redis {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    pub async fn start_with_password(password: &str) -> Self {
        Self::start_with(Some(password.to_owned())).await
    }

    async fn start_with(password: Option<String>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let process = Process::new("redis-server", folder.path());
        let own_commands = AtomicU64::new(0);
        let mut server = Self { process, folder, port: Port::claim(), password, own_commands };
        server.start_again().await;
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// What a node is configured with.
    pub fn url(&self) -> String {
        self.url_at(self.address())
    }

    /// The same through a proxy.
    pub fn url_at(&self, address: SocketAddr) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@{address}"),
            None => format!("redis://{address}"),
        }
    }

    /// Runs a command of Redis, such as `["GET", "key"]`; gives back the answer, a line for each element.
    pub async fn command(&self, arguments: &[&str]) -> String {
        let mut client = command("redis-cli", "redis-tools");
        client.args(["-e", "-h", "127.0.0.1", "-p", &self.port.number().to_string()]);
        self.own_commands.fetch_add(1, Ordering::Relaxed);
        if let Some(password) = &self.password {
            // Not as an argument: the client warns about that.
            client.env("REDISCLI_AUTH", password);
            self.own_commands.fetch_add(1, Ordering::Relaxed);
        }
        client.args(arguments);
        run_command(client).await.expect(0).stdout
    }

    /// Commands that others than the test have sent since the server was started.
    pub async fn commands(&self) -> u64 {
        let own = self.own_commands.load(Ordering::Relaxed);
        let info = self.command(&["INFO", "stats"]).await;
        let all = info.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        let all: u64 = all.and_then(|number| number.trim().parse().ok()).expect("Redis counts commands");
        // What asks is counted when it is done; signing in is a command before that.
        all.saturating_sub(own + u64::from(self.password.is_some()))
    }

    /// Takes the server down in order.
    pub async fn stop(&mut self) {
        self.process.stop().await;
    }

    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts it again, empty, on the same port.
    pub async fn start_again(&mut self) {
        self.process.spawn(self.server_command());
        // The one that waits for an answer.
        self.own_commands.store(1, Ordering::Relaxed);
        let address = self.address();
        self.process.wait_until("an answer", async || answers(address).await).await;
    }

    /// Freezes it: connections are accepted still, and nothing is ever answered.
    pub async fn pause(&self) {
        self.process.pause().await;
    }

    pub fn resume(&self) {
        self.process.resume();
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    fn server_command(&self) -> Command {
        let mut server = command("redis-server", "redis-server");
        server.args(["--bind", "127.0.0.1", "--port", &self.port.number().to_string()]);
        server.args(["--save", "", "--appendonly", "no"]);
        server.arg("--dir").arg(self.folder.path());
        if let Some(password) = &self.password {
            server.args(["--requirepass", password]);
        }
        server
    }
}

/// Any answer will do: without the password it is an error.
async fn answers(address: SocketAddr) -> bool {
    let answer = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(b"PING\r\n").await.ok()?;
        stream.read_u8().await.ok()
    };
    answer.await.is_some()
}
