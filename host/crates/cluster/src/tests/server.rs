//! Real Redis servers: each in a folder of its own, on free ports, killed when dropped.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tempfile::TempDir;

/// Far beyond what anything here takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub struct Server {
    child: Option<Child>,
    folder: TempDir,
    program: &'static str,
    arguments: Vec<String>,
    pub port: u16,
}

impl Server {
    /// An empty Redis without a disk.
    pub fn redis(arguments: &[&str]) -> Self {
        Self::redis_in(tempfile::tempdir().unwrap(), "--port", arguments)
    }

    /// A Sentinel that watches one primary, called `main`, and decides alone.
    pub fn sentinel(primary: u16) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let path = folder.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {primary} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n"
        );
        std::fs::write(&path, text).unwrap();
        // The same program; a package of its own would be one more to install.
        let arguments = vec![path.display().to_string(), "--sentinel".to_owned()];
        Self::start("redis-server", folder, arguments, port)
    }

    /// Redis with TLS alone, its certificate made for it.
    pub fn tls(folder: TempDir) -> Self {
        let files = "--tls-cert-file server.pem --tls-key-file server.key --tls-ca-cert-file ca.pem";
        let arguments = format!("--port 0 --tls-auth-clients no {files}");
        Self::redis_in(folder, "--tls-port", &arguments.split(' ').collect::<Vec<_>>())
    }

    fn redis_in(folder: TempDir, port_argument: &str, arguments: &[&str]) -> Self {
        let port = free_port();
        let all = [port_argument, &port.to_string(), "--bind", "127.0.0.1", "--save", ""];
        let all = all.iter().chain(arguments).map(|&argument| argument.to_owned()).collect();
        Self::start("redis-server", folder, all, port)
    }

    fn start(program: &'static str, folder: TempDir, arguments: Vec<String>, port: u16) -> Self {
        let mut server = Self { child: None, folder, program, arguments, port };
        server.restart();
        server
    }

    /// Starts it where it was before; it has forgotten everything.
    pub fn restart(&mut self) {
        let child = Command::new(self.program)
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = self.child.insert(child.unwrap_or_else(|error| panic!("{}: {error}", self.program)));
        let end = Instant::now() + DEADLINE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < end, "{} does not listen: {ended:?}", self.program);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// From here on it accepts and never answers.
    pub fn hang(&self) {
        self.signal(Signal::STOP);
        // Threads on other cores may not have seen it yet.
        waitid(WaitId::Pid(self.process()), WaitIdOptions::STOPPED).unwrap();
    }

    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.process(), signal).unwrap();
    }

    fn process(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    /// Runs one command and gives what it prints.
    pub fn ask(&self, command: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(command).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Free a moment ago, and not among those that the system gives to outgoing connections: it stays free while a server
/// is stopped.
pub fn free_port() -> u16 {
    let mut candidates = std::iter::repeat_with(|| rand::random_range(20_000..32_000));
    candidates.find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok()).unwrap()
}

/// Waits until something is so.
pub async fn until(is_so: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "this never came about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An authority, and a certificate of it for 127.0.0.1: ca.pem, server.pem and server.key.
pub fn make_certificates(folder: &Path) {
    std::fs::write(folder.join("server.ext"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for arguments in [
        format!("req -x509 {key} -days 2 -subj /CN=authority -keyout ca.key -out ca.pem"),
        format!("req {key} -subj /CN=redis -keyout server.key -out server.csr"),
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -out server.pem"
            .to_owned(),
    ] {
        let output =
            Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
