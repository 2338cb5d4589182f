//! `cargo xtask demo`: a node with the examples published on it, from nothing.

mod http;
mod node;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, run as run_command, step};
use crate::{guests, workspace};
use node::DemoNode;

/// The examples in Rust with a path that each answers, in the order in which they are published.
const RUST: &[(&str, &str)] =
    &[("hello", "/"), ("hello-p3", "/"), ("stream", "/events?count=3&interval_ms=100")];
/// Examples in other languages; who lacks a tool chain misses only these.
const OTHERS: &[(&str, &str)] = &[("hello-js", "/"), ("hello-python", "/"), ("hello-go", "/")];
/// Compiling the engines of JavaScript and Python is the slowest thing that happens here.
const PUBLISH_TIMEOUT_SECONDS: &str = "180";
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

struct Options {
    /// Stop after the check.
    exit: bool,
    /// Go on with what an earlier demo published.
    keep: bool,
    release: bool,
}

pub fn run(arguments: &[String]) -> Result<()> {
    let options = parse(arguments)?;
    let root = workspace::root();

    guests::examples()?;
    for (language, build) in guests::OTHERS {
        if let Err(why) = build() {
            eprintln!("==> skipping {language}, everything else works without it: {why:#}");
        }
    }
    let profile = if options.release { "release" } else { "debug" };
    step(&format!(
        "building the server ({})",
        if options.release {
            "release profile"
        } else {
            "dev profile: builds faster, serves slower; `--release` for the real speed"
        }
    ));
    let mut build = cargo(&root);
    build.args(["build", "--package", "typecase"]);
    if options.release {
        build.arg("--release");
    }
    run_command(&mut build)?;

    let server = workspace::binary(profile, "typecase");
    // A compiler that is itself built for debugging is slow enough.
    let compile_effort = if options.release { "full" } else { "little" };
    let mut node = DemoNode::start(&server, options.keep, compile_effort)?;
    let mut served = Vec::new();
    for (name, path) in RUST {
        publish(&server, &node, &root.join("examples").join(name))?;
        served.push((*name, *path));
    }
    for (name, path) in OTHERS {
        let project = root.join("examples").join(name);
        if guests::is_built(&project) {
            publish(&server, &node, &project)?;
            served.push((*name, *path));
        }
    }

    step("asking each of them");
    for (name, path) in &served {
        let url = format!("/{name}{path}");
        let answer = http::get(&node.apps, &url, ANSWER_TIMEOUT)
            .with_context(|| format!("http://{}{url} does not answer", node.apps))?;
        println!("    GET http://{}{url}  ->  {} {}", node.apps, answer.status, answer.first_line);
        if answer.status != 200 {
            bail!("{name} answered {}; the node's log is {}", answer.status, node.log.display());
        }
    }
    explain(&server, &node, &root);
    if options.exit {
        return node.stop();
    }
    println!("\nThe node serves until you press Ctrl-C.");
    node.wait()
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options { exit: false, keep: false, release: false };
    for argument in arguments {
        match argument.as_str() {
            "--exit" => options.exit = true,
            "--keep" => options.keep = true,
            "--release" => options.release = true,
            unknown => {
                bail!("`cargo xtask demo` takes --exit, --keep and --release, not `{unknown}`")
            }
        }
    }
    Ok(options)
}

fn publish(server: &Path, node: &DemoNode, project: &Path) -> Result<()> {
    step(&format!("publishing {}", node::shown(project)));
    run_command(&mut cli(
        server,
        node,
        &["publish", &project.to_string_lossy(), "--timeout", PUBLISH_TIMEOUT_SECONDS],
    ))
}

/// The command line beside the node's own data folder: it finds its token there.
fn cli(server: &Path, node: &DemoNode, arguments: &[&str]) -> Command {
    let mut command = node::typecase(server);
    command
        .args(arguments)
        .args(["--server", &format!("http://{}", node.admin)])
        .arg("--data")
        .arg(&node.data);
    command
}

fn explain(server: &Path, node: &DemoNode, root: &Path) {
    let server = node::shown(server);
    let to = format!("--server http://{} --data {}", node.admin, node::shown(&node.data));
    println!(
        "
Typecase serves. Look here:
    http://{apps}/hello/            the examples, each in a sandbox of its own per request
    http://{admin}/readyz       health; /metrics beside it
    {log}         what the node says",
        apps = node.apps,
        admin = node.admin,
        log = node::shown(&node.log),
    );
    if let Some(link) = node.setup_link() {
        println!("    {link}  makes the first account; works once");
    }
    println!(
        "
Try this, in {root}:
    curl -N 'http://{apps}/stream/events?count=5'
    {server} apps {to}
  change the text in examples/hello/src/lib.rs, build it, publish it, and roll it back:
    (cd examples && cargo build --release --target wasm32-wasip2 --package hello)
    {server} publish examples/hello {to}
    {server} releases hello {to}
    {server} rollback hello {to}",
        root = root.display(),
        apps = node.apps,
    );
}
