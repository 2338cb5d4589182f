//! What people read, word for word: help, errors, what build and check print, JSON documents.
//!
//! Whoever changes a text looks at the difference, and takes it over with
//! `INSTA_UPDATE=always cargo nextest run -p typecase-it -E 'test(snapshots::)'`.

mod components;
mod manifests;
mod redact;
mod sandbox;

use serde_json::Value;
use typecase_harness::command::Output;
use typecase_harness::{TestNode, command};

use sandbox::Sandbox;

/// Compares with the file of this name beside this module.
fn assert_text(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// A command and what it said: its exit code where it is not 0, stdout, stderr.
fn transcript(line: &str, output: &Output) -> String {
    let mut text = format!("$ typecase {line}\n");
    for said in [&output.stdout, &output.stderr] {
        text.push_str(said);
    }
    if output.code != 0 {
        text.push_str(&format!("[exit {}]\n", output.code));
    }
    text + "\n"
}

#[tokio::test]
async fn help_of_every_command() {
    let mut text = String::new();
    let mut left = vec![Vec::new()];
    while let Some(command) = left.pop() {
        let output = command::run(command.iter().map(String::as_str).chain(["--help"])).await.expect(0);
        let subcommands = subcommands(&output.stdout).map(|name| [&command[..], &[name]].concat());
        let mut subcommands: Vec<Vec<String>> = subcommands.collect();
        subcommands.reverse();
        left.extend(subcommands);
        text.push_str(&transcript(&[&command[..], &["--help".to_owned()]].concat().join(" "), &output));
    }
    assert!(text.matches("--help\n").count() > 20);
    assert_text("help", &text);
}

fn subcommands(help: &str) -> impl Iterator<Item = String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = list.take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned)
}

#[tokio::test]
async fn a_build_at_work() {
    let sandbox = Sandbox::new();
    sandbox.app("[config]\ntoken = { required = true, secret = true }\ngreeting = { default = \"Hello\" }\n");
    sandbox.file("hello/static/index.html", b"<p>hello");
    let mut text = sandbox.run("build hello").await;
    text.push_str(&sandbox.run("build hello --output elsewhere.zip").await);
    text.push_str(&sandbox.run("check hello --offline").await);
    text.push_str(&sandbox.run("check elsewhere.zip --offline").await);

    // What an operator may allow is no reason to stop.
    sandbox.app("[limits]\nmemory_mb = 4096\nreuse = 1000000\n");
    text.push_str(&sandbox.run("build hello").await);

    sandbox.command("echo 'error: expected `;`' >&2; exit 101");
    text.push_str(&sandbox.run("build hello").await);
    sandbox.command("no-such-program build");
    text.push_str(&sandbox.run("build hello").await);
    sandbox.file("hello/target/wasm32-wasip2/release/shop.wasm", b"\0asm");
    sandbox.manifest("manifest_version = 1\n[app]\nname = \"hello\"\ncomponent = \"target/hello.wasm\"\n[build]\ncommand = \"true\"\n");
    text.push_str(&sandbox.run("build hello").await);
    text.push_str(&sandbox.run("check hello --offline").await);
    text.push_str(&sandbox.run("build nowhere").await);
    assert_text("build", &text);
}

#[tokio::test]
async fn a_publish_and_a_check_by_a_server() {
    let node = TestNode::builder().config("limits", "max_memory_mb", 256).start().await;
    let sandbox = Sandbox::with_node(&node);
    sandbox.app("");
    sandbox.component(typecase_harness::guests::hello());
    let mut text = String::new();
    for line in ["check hello", "publish hello", "publish hello", "check hello"] {
        text.push_str(&sandbox.run(line).await);
    }
    sandbox.app("[limits]\nmemory_mb = 512\nreuse = 1000000\n[config]\ntoken = { required = true }\n");
    text.push_str(&sandbox.run("check hello").await);
    text.push_str(&sandbox.run("publish hello").await);
    text.push_str(&sandbox.run("check hello --server http://127.0.0.1:1").await);
    assert_text("server", &text);
}

#[tokio::test]
async fn documents() {
    let node = TestNode::builder().config("node", "name", "here").start().await;
    let sandbox = Sandbox::with_node(&node);
    sandbox.app("");
    sandbox.component(typecase_harness::guests::hello());
    let mut text = String::new();
    for line in [
        "build hello --json",
        "publish hello --json",
        "publish hello --json",
        "check hello --json",
        "apps --json",
        "releases hello --json",
        "releases nothing --json",
    ] {
        text.push_str(&sandbox.run(line).await);
    }
    sandbox.app("hosts = [\"A\"]\nhealth = \"x\"\n");
    text.push_str(&sandbox.run("build hello --json").await);
    sandbox.app("[limits]\nmemory_mb = 4096\n[grants]\nsql = [\"main\"]\n");
    text.push_str(&sandbox.run("check hello --json").await);
    // One document on stdout, whatever happened.
    for document in text.split("$ typecase ").skip(1) {
        let document = document.split_once('\n').unwrap().1;
        let end = document.find("\nerror: ").or_else(|| document.find("\n[exit")).unwrap_or(document.len());
        assert!(serde_json::from_str::<Value>(&document[..end]).is_ok(), "{document}");
    }
    assert_text("documents", &text);
}
