//! A reader's shell: an empty folder, ports of its own, and the program in the path.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use typecase_harness::{command, services::Port};

use super::markdown::is_shown;

/// A build from nothing, on a busy machine.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(600);

/// How long a reader would ask again: a node starts, a change is built.
const AGAIN_TIMEOUT: Duration = Duration::from_secs(180);

/// Printed after each command, with its exit status.
const END: &str = "\u{1}end";

/// What a node, and `typecase dev`, say when they serve.
const UP: [&str; 2] = [" ready ", " serves after "];

/// What the guides call the two ports of a node.
const APPS: &str = "127.0.0.1:8100";
const ADMIN: &str = "127.0.0.1:22345";

/// What the guides call a clone of this repository.
const CLONE: &str = "~/typecase";

/// A compiler that is itself built for debugging takes long on the engines of some languages.
const PATIENCE: [(&str, &str); 3] = [
    ("TYPECASE_LIMITS__COMPILE_EFFORT", "little"),
    ("TYPECASE_LIMITS__COMPILE_TIMEOUT_MS", "400000"),
    ("TYPECASE_LIMITS__ROLLOUT_TIMEOUT_MS", "420000"),
];

pub struct Shell {
    document: String,
    folder: TempDir,
    bash: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    apps: Port,
    admin: Port,
    background: u32,
    /// Held: what cargo makes of a library called `app` has the same name in every project.
    _build_folder: Option<fs::File>,
}

impl Shell {
    pub fn start(document: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (apps, admin) = (Port::claim(), Port::claim());
        let program = command::program();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let path = std::env::join_paths(
            // The second has what `cargo xtask guests` fetched because the machine has none that is recent: Go.
            [program.parent().unwrap().to_path_buf(), root.join("target/python/bin")]
                .into_iter()
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
        );
        let target = root.join("target/guides");
        fs::create_dir_all(&target).unwrap();
        // The pages on other languages than Rust build elsewhere, and need not wait for each other.
        let build_folder = (!document.starts_with("languages/")).then(|| {
            let lock = fs::File::create(target.join("guides.lock")).unwrap();
            lock.lock().unwrap();
            lock
        });
        fs::create_dir_all(folder.path().join("work")).unwrap();
        let mut bash = std::process::Command::new("bash");
        for (name, _) in std::env::vars_os() {
            // What this test was built with is not what its reader builds with.
            if name.to_string_lossy().starts_with("TYPECASE_") || name.to_string_lossy().starts_with("CARGO")
            {
                bash.env_remove(name);
            }
        }
        for kept in ["CARGO_HOME", "CARGO_NET_OFFLINE"] {
            bash.envs(std::env::var_os(kept).map(|value| (kept, value)));
        }
        let mut bash = bash
            .args(["--noprofile", "--norc"])
            .current_dir(folder.path().join("work"))
            .env("PATH", path.unwrap())
            .envs(PATIENCE)
            .env("XDG_DATA_HOME", folder.path().join("home"))
            // Dependencies are built once for all guides; what a project makes still lands in its own folder.
            .env("CARGO_BUILD_BUILD_DIR", target)
            .env("TYPECASE_NODE__LISTEN", format!("127.0.0.1:{}", apps.number()))
            .env("TYPECASE_NODE__ADMIN", format!("127.0.0.1:{}", admin.number()))
            .env("TYPECASE_SERVER", format!("http://127.0.0.1:{}", admin.number()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(bash.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let input = bash.stdin.take().unwrap();
        let document = document.to_owned();
        let mut shell = Self {
            document,
            folder,
            bash,
            input,
            lines,
            apps,
            admin,
            background: 0,
            _build_folder: build_folder,
        };
        // Background commands get process groups of their own, and with them a Ctrl-C that is theirs alone.
        shell.ask("exec 2>&1; set -m; set -o pipefail");
        shell
    }

    /// Runs a command, which must succeed and print what the document shows. A question over HTTP is repeated for a
    /// while, as its reader would.
    pub fn run(&mut self, command: &str, shown: &[String]) {
        let may_repeat = command.starts_with("curl ");
        let end = Instant::now() + AGAIN_TIMEOUT;
        let shown: Vec<String> = shown.iter().map(|line| self.localized(line)).collect();
        loop {
            let (lines, status) = self.ask(&self.localized(command));
            let printed: Vec<&str> = lines.iter().map(String::as_str).collect();
            let matches = shown.is_empty() || is_shown(&shown, &printed);
            // A command that is shown with its error is meant to fail.
            let is_fine = status == 0 || shown.iter().any(|line| line.starts_with("error"));
            if is_fine && matches {
                return;
            }
            if !may_repeat || Instant::now() > end {
                self.fail(&format!("$ {command}\nended with {status} and printed\n{}", printed.join("\n")));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    pub fn start_in_background(&mut self, command: &str) {
        self.background += 1;
        let log = self.folder.path().join(format!("background-{}.log", self.background));
        let mut command = self.localized(command);
        if command.starts_with("typecase dev") {
            command.push_str(&format!(" --listen 127.0.0.1:{}", self.apps.number()));
        }
        self.ask(&format!("{command} > {} 2>&1 &", log.display()));
        // Its reader looks at the other terminal, too, before going on.
        let end = Instant::now() + AGAIN_TIMEOUT;
        let is_up = |log: String| UP.iter().any(|text| log.contains(text));
        while !fs::read_to_string(&log).is_ok_and(is_up) {
            if Instant::now() > end {
                self.fail(&format!("$ {command}\ndid not come up"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What a reader does to whatever runs in the other terminal.
    pub fn interrupt(&mut self) {
        self.ask("kill -INT %% && wait %%");
    }

    pub fn write(&mut self, path: &str, text: &str) {
        let path = self.here().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn change(&mut self, path: &str, from: &str, to: &str) {
        let file = self.here().join(path);
        let text = fs::read_to_string(&file).unwrap();
        if text.matches(from).count() != 1 {
            self.fail(&format!("{path} does not hold once\n{from}but is\n{text}"));
        }
        fs::write(file, text.replace(from, to)).unwrap();
    }

    fn here(&mut self) -> PathBuf {
        PathBuf::from(&self.ask("pwd").0[0])
    }

    fn localized(&self, text: &str) -> String {
        text.replace(APPS, &format!("127.0.0.1:{}", self.apps.number()))
            .replace(ADMIN, &format!("127.0.0.1:{}", self.admin.number()))
            .replace(CLONE, &typecase_harness::guests::root().display().to_string())
    }

    fn ask(&mut self, command: &str) -> (Vec<String>, i32) {
        writeln!(self.input, "{command}\nprintf '\\n{END} %d\\n' $?").unwrap();
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match line.strip_prefix(END) {
                    Some(status) => {
                        // The marker begins with a new line, which is the command's own if it printed none.
                        if lines.last().is_some_and(String::is_empty) {
                            lines.pop();
                        }
                        return (lines, status.trim().parse().unwrap());
                    }
                    None => lines.push(line),
                },
                Err(RecvTimeoutError::Timeout) => {
                    self.fail(&format!("$ {command}\nstill runs; it printed\n{}", lines.join("\n")))
                }
                Err(RecvTimeoutError::Disconnected) => self.fail(&format!("$ {command}\nended the shell")),
            }
        }
    }

    fn fail(&self, what: &str) -> ! {
        let logs = (1..=self.background).map(|number| {
            let log = self.folder.path().join(format!("background-{number}.log"));
            format!("\n--- in terminal {number}:\n{}", fs::read_to_string(log).unwrap_or_default())
        });
        panic!("docs/{}: {what}{}", self.document, logs.collect::<String>());
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = writeln!(self.input, "kill -TERM $(jobs -p); wait; exit");
        let end = Instant::now() + Duration::from_secs(20);
        while self.bash.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.bash.kill();
        let _ = self.bash.wait();
    }
}
