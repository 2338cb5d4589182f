//! A real node: the `typecase` program on free ports and a data folder of its own, ended with the test.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};

use bytes::Bytes;
use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{self, Answer};
use crate::command::{self, Output};
use crate::{Api, eventually, pause};

/// Lines of a node's log that a failed test shows.
const LOG_LINES_SHOWN: usize = 60;

/// What a node is started with.
#[derive(Debug, Default, Clone)]
pub struct TestNodeBuilder {
    config: toml::Table,
    environment: Vec<(String, String)>,
    data: Option<PathBuf>,
}

/// A running node; killed when it is dropped.
#[derive(Debug)]
pub struct TestNode {
    builder: TestNodeBuilder,
    /// Config file and logs, and the data unless a test has its own place for them.
    folder: TempDir,
    child: Option<Child>,
    starts: u32,
    apps: SocketAddr,
    admin: SocketAddr,
    token: String,
}

impl TestNodeBuilder {
    /// Sets a key of the node's configuration file.
    pub fn config(mut self, section: &str, key: &str, value: impl Into<toml::Value>) -> Self {
        let section = self.config.entry(section).or_insert_with(|| toml::Table::new().into());
        section.as_table_mut().expect("a section is a table").insert(key.to_owned(), value.into());
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.environment.push((name.to_owned(), value.as_ref().display().to_string()));
        self
    }

    /// Uses this data folder instead of a temporary one.
    pub fn data(mut self, folder: &Path) -> Self {
        self.data = Some(folder.to_path_buf());
        self
    }

    /// Starts the node and waits until it is ready.
    pub async fn start(self) -> TestNode {
        let mut node = self.prepare();
        node.spawn();
        node.wait_until_ready().await;
        node
    }

    /// Runs a node that is expected to end by itself, and gives back what it said.
    pub async fn start_to_fail(self) -> Output {
        let node = self.prepare();
        command::run_command(node.command()).await
    }

    /// A node that is not started yet.
    pub(crate) fn prepare(mut self) -> TestNode {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut default = |section: &str, key: &str, value: toml::Value| {
            let section = self.config.entry(section).or_insert_with(|| toml::Table::new().into());
            section.as_table_mut().expect("a section is a table").entry(key).or_insert(value);
        };
        default("node", "listen", "127.0.0.1:0".into());
        default("node", "admin", "127.0.0.1:0".into());
        default("log", "format", "json".into());
        // Nobody balances in front of a test's node; a test about that sets its own.
        default("drain", "delay_ms", 0.into());
        fs::write(folder.path().join("node.toml"), self.config.to_string()).expect("the config is written");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let token = String::new();
        TestNode { builder: self, folder, child: None, starts: 0, apps: nowhere, admin: nowhere, token }
    }
}

impl TestNode {
    pub fn builder() -> TestNodeBuilder {
        TestNodeBuilder::default()
    }

    /// A node with nothing special about it.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Where apps are served.
    pub fn apps_address(&self) -> SocketAddr {
        self.apps
    }

    /// Where API, health and metrics are served.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    pub fn data(&self) -> PathBuf {
        self.builder.data.clone().unwrap_or_else(|| self.folder.path().join("data"))
    }

    pub fn api(&self) -> Api {
        Api { address: self.admin, token: Some(self.token.clone()) }
    }

    /// GET on the app port. Fails the test when there is no answer.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Bytes::new()).await
    }

    /// A request on the app port, on a connection of its own.
    pub async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        let request = client::request(self.apps, method.clone(), path, None, body.into());
        let answer = client::send_once(self.apps, request).await;
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// GET on the admin port without a token: health and metrics.
    pub async fn admin_get(&self, path: &str) -> Answer {
        self.api().with_token(None).get(path).await
    }

    /// A command of the program, told where this node and its data are.
    pub async fn cli<const N: usize>(&self, arguments: [&str; N]) -> Output {
        let server = format!("http://{}", self.admin);
        let data = self.data().display().to_string();
        command::run(arguments.iter().copied().chain(["--server", &server, "--data", &data])).await
    }

    /// Publishes a project folder through the command line; it must become active.
    pub async fn publish_dir(&self, project: &Path) -> Value {
        let path = project.display().to_string();
        self.cli(["publish", &path, "--json"]).await.expect(0).json()
    }

    /// Publishes a bare component through the API; it must become active.
    pub async fn publish_wasm(&self, app: &str, component: impl Into<Bytes>) -> Value {
        let answer = self.api().publish(app, component, "").await.expect(200).json();
        assert_eq!(answer["state"], "active", "{answer}");
        answer
    }

    /// Everything the node has logged since its last start.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The line of the log that contains all of these texts, as JSON, once it is there.
    pub async fn log_line(&self, texts: &[&str]) -> Value {
        eventually(&format!("a line in the log with {texts:?}"), async || {
            let log = self.log();
            let line = log.lines().find(|line| texts.iter().all(|text| line.contains(text)))?;
            serde_json::from_str(line).ok()
        })
        .await
    }

    /// The entry of an app's log whose JSON contains all of these texts, once it is there.
    pub async fn app_entry(&self, app: &str, texts: &[&str]) -> Value {
        eventually(&format!("an entry in the log of {app} with {texts:?}"), async || {
            let mut log = self.api().log(app, "?tail=10000").await.into_iter();
            log.find(|entry| {
                let shown = entry.to_string();
                texts.iter().all(|text| shown.contains(text))
            })
        })
        .await
    }

    pub fn process_id(&self) -> u32 {
        self.child.as_ref().expect("the node runs").id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Ends the node as a power cut would.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("the node runs");
        kill_process(Pid::from_child(child), signal).expect("the signal is sent");
    }

    /// From here on it answers nothing, to nobody.
    pub async fn pause(&self) {
        pause::pause("the node", self.child.as_ref().expect("the node runs")).await;
    }

    pub fn resume(&self) {
        pause::resume(self.child.as_ref().expect("the node runs"));
    }

    /// Waits until the node has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the node runs");
        let status =
            eventually("the end of the node", async || child.try_wait().expect("it can be waited for"));
        status.await
    }

    /// Asks the node to end and waits until it has.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Starts the node again on the same data; its ports are others then, unless they are configured.
    pub async fn restart(&mut self) {
        self.kill9();
        self.spawn();
        self.wait_until_ready().await;
    }

    /// The same for a node that the operator has drained: it serves, and is not ready.
    pub async fn restart_drained(&mut self) {
        self.kill9();
        self.spawn();
        self.wait_until_serving().await;
    }

    pub(crate) fn spawn(&mut self) {
        self.starts += 1;
        let log = File::create(self.log_path()).expect("the log is made");
        let mut command = self.command();
        command.stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("the program starts"));
    }

    fn command(&self) -> std::process::Command {
        let mut command = command::typecase();
        command.arg("node").arg("--config").arg(self.folder.path().join("node.toml"));
        command.arg("--data").arg(self.data());
        command.envs(self.builder.environment.iter().cloned());
        command
    }

    pub(crate) async fn wait_until_ready(&mut self) {
        self.wait_until_serving().await;
        eventually("an answer of 200 to /readyz", async || {
            (self.admin_get("/readyz").await.status == 200).then_some(())
        })
        .await;
    }

    async fn wait_until_serving(&mut self) {
        let (apps, admin) = eventually("a node that says it is ready", async || {
            assert!(self.is_running(), "the node ended:\n{}", self.log());
            self.announced_addresses()
        })
        .await;
        (self.apps, self.admin) = (apps, admin);
        let token = fs::read_to_string(self.data().join("cli-token")).expect("a node writes its cli-token");
        self.token = token.trim().to_owned();
    }

    /// What the line `ready` of the log says.
    fn announced_addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        let log = self.log();
        let line = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let ready = line.into_iter().find(|line| line["message"] == "ready")?;
        let address = |field: &str| ready[field].as_str()?.parse().ok();
        Some((address("apps.address")?, address("admin.address")?))
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join(format!("node-{}.log", self.starts))
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        if std::thread::panicking() && self.starts > 0 {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n");
            eprintln!("the log of the test's node ends with:\n{shown}\n");
        }
        self.kill9();
    }
}
