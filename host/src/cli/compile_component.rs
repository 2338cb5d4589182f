//! The hidden command that a node starts as a child process for each component it compiles.

use std::ffi::OsString;
use std::process::ExitCode;

pub fn run(arguments: Vec<OsString>) -> ExitCode {
    ExitCode::from(typecase_runtime::compile::child_main(&arguments))
}
