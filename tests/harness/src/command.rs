//! The `typecase` program: where it is, and what a run of it said.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::Value;

use crate::DEADLINE;

/// The program under test: beside this test's own executable, or where TYPECASE_BIN says.
///
/// Cargo does not build it for the tests, which would then try an old one and pass.
pub fn program() -> PathBuf {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| match std::env::var_os("TYPECASE_BIN") {
        Some(program) => PathBuf::from(program),
        None => built().unwrap_or_else(|why| panic!("{why}: run `cargo build --workspace`")),
    });
    PROGRAM.clone()
}

fn built() -> Result<PathBuf, String> {
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    let program = test.ancestors().nth(2).unwrap_or(&test).join("typecase");
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified());
    let made = modified(&program).map_err(|error| format!("{}: {error}", program.display()))?;
    // Beside what it made, cargo says what it was made from, in the words of a makefile.
    let rule = fs::read_to_string(program.with_extension("d")).unwrap_or_default();
    let sources = rule.split_once(": ").map_or("", |(_, sources)| sources.trim_end()).replace("\\ ", "\0");
    let newer = sources
        .split(' ')
        .map(|source| PathBuf::from(source.replace('\0', " ")))
        .find(|source| modified(source).is_ok_and(|modified| modified > made));
    match newer {
        Some(source) => Err(format!("{} is newer than {}", source.display(), program.display())),
        None => Ok(program),
    }
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
