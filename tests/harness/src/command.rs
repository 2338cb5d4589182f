//! The `typecase` program: where it is, and what a run of it said.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::DEADLINE;

/// The program under test: beside this test's own executable, or where TYPECASE_BIN says.
pub fn program() -> PathBuf {
    let beside = || {
        let test = std::env::current_exe().ok()?;
        Some(test.parent()?.parent()?.join("typecase"))
    };
    let program = std::env::var_os("TYPECASE_BIN").map(PathBuf::from).or_else(beside).unwrap_or_default();
    assert!(
        program.is_file(),
        "{} is not there: run `cargo build -p typecase`, or set TYPECASE_BIN to the program",
        program.display()
    );
    program
}

/// A command on its embedded defaults, whatever the caller's shell configures for another node.
pub fn typecase() -> Command {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TYPECASE_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// What a finished command said.
#[derive(Debug, Clone)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The one JSON document that `--json` prints.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not JSON ({error}): {self:#?}"))
    }

    /// Fails the test unless the command ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

/// Runs a command to its end.
pub async fn run(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    let mut command = typecase();
    command.args(arguments);
    run_command(command).await
}

/// The same for a command that a test has prepared.
pub async fn run_command(command: Command) -> Output {
    let shown = format!("{command:?}");
    let mut command = tokio::process::Command::from(command);
    let finished = tokio::time::timeout(DEADLINE, command.kill_on_drop(true).output()).await;
    let output = finished
        .unwrap_or_else(|_| panic!("{shown} did not end within {} s", DEADLINE.as_secs()))
        .unwrap_or_else(|error| panic!("{shown}: {error}"));
    Output {
        // Ended by a signal: a code that no command gives.
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
