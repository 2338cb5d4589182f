//! A folder in which commands are run as a person would: with relative paths.

use std::fs;

use tempfile::TempDir;
use typecase_harness::{TestNode, command};

use super::redact::redact;
use super::transcript;

/// A component that exports a handler and nothing else; its length never changes.
const HANDLER: &str = "(component (instance $i) (export \"wasi:http/incoming-handler@0.2.0\" (instance $i)))";

pub struct Sandbox {
    folder: TempDir,
    server: Option<(String, String)>,
}

impl Sandbox {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), server: None }
    }

    /// Commands speak to this node, as its own user.
    pub fn with_node(node: &TestNode) -> Self {
        let server = (format!("http://{}", node.admin_address()), node.data().display().to_string());
        Self { server: Some(server), ..Self::new() }
    }

    pub fn file(&self, path: &str, content: &[u8]) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The project `hello` with a component; lines of its manifest after those of `[app]`.
    pub fn app(&self, lines: &str) {
        let assets =
            if self.folder.path().join("hello/static").exists() { "assets = \"static\"\n" } else { "" };
        self.manifest(&format!(
            "manifest_version = 1\n[app]\nname = \"hello\"\ncomponent = \"app.wasm\"\n{assets}{lines}"
        ));
        if !self.folder.path().join("hello/app.wasm").exists() {
            self.component(wat::parse_str(HANDLER).unwrap());
        }
    }

    pub fn manifest(&self, text: &str) {
        self.file("hello/typecase.toml", text.as_bytes());
    }

    pub fn component(&self, bytes: impl AsRef<[u8]>) {
        self.file("hello/app.wasm", bytes.as_ref());
    }

    /// Gives the project a build command.
    pub fn command(&self, command: &str) {
        self.app(&format!("[build]\ncommand = \"{command}\"\n"));
    }

    /// What a person sees who types `typecase` and this.
    pub async fn run(&self, line: &str) -> String {
        let mut command = command::typecase();
        command.current_dir(self.folder.path()).args(line.split(' '));
        if let Some((server, data)) = self.server.as_ref().filter(|_| !line.contains("--server")) {
            command.args(["--server", server, "--data", data]);
        }
        let output = command::run_command(command).await;
        let folder = self.folder.path().display().to_string();
        redact(&transcript(line, &output).replace(&folder, "/sandbox"))
    }
}
