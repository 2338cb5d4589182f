//! A project in a temporary folder, and `typecase dev` running over it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, HeaderValue};
use http_body_util::BodyExt as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use typecase_harness::client::{self, Answer, Connection};
use typecase_harness::command::{self, Output};
use typecase_harness::{DEADLINE, eventually, guests};

/// What stands in `src/version` decides: a component's number, `broken` or `slow`.
const BUILD: &str = r#"
case $(cat src/version) in
  broken) printf '\033[1;31merror[E0425]\033[0m: cannot find value `x`\n'; exit 101;;
  slow) sleep 100;;
  *) cp $(cat src/version).wasm app.wasm;;
esac
"#;

/// Components that are there to be chosen from.
const VERSIONS: u32 = 5;

pub struct Project {
    folder: TempDir,
}

/// The program at work; killed when it is dropped.
pub struct DevRun {
    project: Option<Project>,
    child: Child,
    address: SocketAddr,
    events: Arc<Mutex<Vec<Value>>>,
    /// Events that a test has waited for, or let pass.
    seen: usize,
}

impl Project {
    /// An app `shop` that answers with its number.
    pub fn saying(version: u32) -> Self {
        let project = Self::empty(&format!(
            "component = \"app.wasm\"\nassets = \"static\"\nhealth = \"/api\"\n[build]\ncommand = '''{BUILD}'''\n"
        ));
        for number in 1..=VERSIONS {
            fs::write(project.path(&format!("{number}.wasm")), guests::hello_saying(number)).unwrap();
        }
        fs::create_dir(project.path("src")).unwrap();
        fs::create_dir(project.path("static")).unwrap();
        project.write("static/index.html", "<h1>old</h1>");
        project.write("src/version", &version.to_string());
        project
    }

    /// An app `shop` that is somebody else's component, without a build; `more` is added to its manifest.
    pub fn of(component: &Path, more: &str) -> Self {
        let project = Self::empty(&format!("component = \"app.wasm\"\n{more}"));
        fs::copy(component, project.path("app.wasm")).unwrap();
        project
    }

    fn empty(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = Self { folder };
        project.write("typecase.toml", &format!("manifest_version = 1\n[app]\nname = \"shop\"\n{more}"));
        project
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A run that is expected to end by itself.
    pub async fn run_to_end<const N: usize>(&self, arguments: [&str; N]) -> Output {
        command::run_command(self.command(&arguments)).await
    }

    pub async fn start(self) -> DevRun {
        self.start_with([]).await
    }

    /// Starts it and waits until the app serves.
    pub async fn start_with<const N: usize>(self, arguments: [&str; N]) -> DevRun {
        let mut child = self
            .command(&arguments)
            .arg("--json")
            .stdout(Stdio::piped())
            .stderr(fs::File::create(self.path(".stderr")).unwrap())
            .spawn()
            .unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let (stdout, read) = (child.stdout.take().unwrap(), events.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                read.lock().unwrap().push(serde_json::from_str(&line).unwrap_or_else(|_| Value::from(line)));
            }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut dev = DevRun { project: Some(self), child, address, events, seen: 0 };
        let url = dev.event("started").await["url"].as_str().unwrap().to_owned();
        dev.address = url.trim_start_matches("http://").split('/').next().unwrap().parse().unwrap();
        dev
    }

    pub fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = command::typecase();
        command.arg("dev").arg(self.folder.path()).args(["--listen", "127.0.0.1:0"]).args(arguments);
        command
    }
}

impl DevRun {
    pub fn project(&self) -> &Project {
        self.project.as_ref().unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.project().path(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        self.project().write(name, text);
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next event of that name, once it is there; those before it count as seen.
    pub async fn event(&mut self, name: &str) -> Value {
        let what = format!("an event `{name}`");
        let (place, event) = eventually(&what, async || {
            let has_ended = matches!(self.child.try_wait(), Ok(Some(_)));
            let events = self.events.lock().unwrap().clone();
            let place = events.iter().skip(self.seen).position(|event| event["event"] == name);
            assert!(place.is_some() || !has_ended, "it ended without {what}: {}", self.stderr());
            place.map(|place| (self.seen + place, events[self.seen + place].clone()))
        })
        .await;
        self.seen = place + 1;
        event
    }

    /// Events of that name so far.
    pub fn count(&self, name: &str) -> usize {
        self.events.lock().unwrap().iter().filter(|event| event["event"] == name).count()
    }

    pub async fn get(&self, path: &str) -> Answer {
        client::send_once(self.address, client::get(self.address, path)).await.unwrap()
    }

    /// What a browser gets that is led to an address.
    pub async fn page(&self, path: &str) -> Answer {
        let mut request = client::request(self.address, Method::GET, path, None, Bytes::new());
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/html,*/*;q=0.8"));
        client::send_once(self.address, request).await.unwrap()
    }

    /// What pages are told of first.
    pub async fn state(&self) -> Value {
        self.events_of("/.well-known/typecase/dev/events").await
    }

    pub async fn state_for(&self, request_id: &str) -> Value {
        self.events_of(&format!("/.well-known/typecase/dev/events?request={request_id}")).await
    }

    async fn events_of(&self, path: &str) -> Value {
        let mut connection = Connection::open(self.address).await.unwrap();
        let mut body = connection.begin(client::get(self.address, path)).await.unwrap().into_body();
        let mut text = String::new();
        while !text.contains("\n\n") {
            let frame = tokio::time::timeout(DEADLINE, body.frame()).await.unwrap().unwrap().unwrap();
            text.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
        }
        serde_json::from_str(text.lines().next().unwrap().strip_prefix("data: ").unwrap()).unwrap()
    }

    /// The node that it runs.
    pub fn node(&self) -> Pid {
        self.process_named("typecase").expect("there is a node")
    }

    /// The first process with that name of those it has started.
    pub fn process_named(&self, name: &str) -> Option<Pid> {
        self.processes().into_iter().find(|process| {
            let command = fs::read(format!("/proc/{}/cmdline", process.as_raw_nonzero())).unwrap_or_default();
            command.split(|byte| *byte == 0).next().is_some_and(|first| first.ends_with(name.as_bytes()))
        })
    }

    /// All that it has started, and those have.
    pub fn processes(&self) -> Vec<Pid> {
        let mut family = vec![self.child.id()];
        let mut next = 0;
        while let Some(parent) = family.get(next) {
            // Each thread has children of its own.
            let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
            let children: String = threads
                .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
                .collect();
            family.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
            next += 1;
        }
        family[1..].iter().filter_map(|id| Pid::from_raw(id.cast_signed())).collect()
    }

    /// Ends it as Ctrl-C does; gives back the project.
    pub async fn end(mut self) -> Project {
        let project = self.project.take();
        assert_eq!(self.end_with(Signal::INT).await.code(), Some(0));
        project.unwrap()
    }

    pub async fn end_with(mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        eventually("the end of typecase dev", async || self.child.try_wait().unwrap()).await
    }

    fn stderr(&self) -> String {
        let project = self.project.as_ref();
        project
            .map(|project| fs::read_to_string(project.path(".stderr")).unwrap_or_default())
            .unwrap_or_default()
    }
}

impl Drop for DevRun {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("typecase dev said: {:#?}\n{}", self.events.lock().unwrap(), self.stderr());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
