//! From nothing to a published app: `typecase new`, `build` and `publish` of the Rust template, when cargo has its crates.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::process::Command;

use crate::contest::median;
use crate::node::Node;
use crate::options::Bench;
use crate::report::{Bar, Report};

const TEMPLATE: &str = "rust-http";
/// What a command does besides cargo and the server, for all three together.
const OWN_MS_MAX: f64 = 300.0;

/// One time through, in milliseconds.
#[derive(Debug, Default)]
struct Round {
    new: f64,
    build: f64,
    publish: f64,
    /// Of these, what cargo took.
    cargo: f64,
    /// And what the rollout took on the server.
    rollout: f64,
}

impl Round {
    fn all(&self) -> f64 {
        self.new + self.build + self.publish
    }

    fn own(&self) -> f64 {
        self.all() - self.cargo - self.rollout
    }
}

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let node = Node::start(bench, "authoring").await?;
    let folder = bench.data("authoring-projects")?;
    // One target folder for all of them: crates of the registry are compiled once, the project and its SDK each time.
    let target = bench.folder.join("authoring-target");
    std::fs::create_dir_all(&target)?;
    eprintln!("    the first time, so that cargo has what it needs");
    round(bench, &node, &folder, &target, "warm-up").await?;

    let mut rounds = Vec::new();
    for number in 1..=bench.sized(5, 1) {
        let round = round(bench, &node, &folder, &target, &format!("app-{number}")).await?;
        eprintln!("    round {number}  {:.0} ms, {:.0} ms of it our own", round.all(), round.own());
        rounds.push(round);
    }
    let of = |pick: fn(&Round) -> f64| median(&rounds.iter().map(pick).collect::<Vec<f64>>());
    let detail = format!(
        "new {:.0} ms, build {:.0} ms (cargo {:.0} ms), publish {:.0} ms (rollout {:.0} ms)",
        of(|round| round.new),
        of(|round| round.build),
        of(|round| round.cargo),
        of(|round| round.publish),
        of(|round| round.rollout),
    );
    report.note("new, build and publish", of(Round::all), "ms", detail);
    let detail = "without cargo and without the rollout on the server".to_owned();
    report.value("the commands' own share", of(Round::own), "ms", Bar::AtMost(OWN_MS_MAX), detail);
    node.server.stop().await
}

async fn round(bench: &Bench, node: &Node, folder: &Path, target: &Path, name: &str) -> Result<Round> {
    let project = folder.join(name);
    let path = project.display().to_string();
    let server = format!("http://{}", node.admin_address);
    let data = bench.data("authoring")?.display().to_string();

    let (new, _) = typecase(bench, &["new", TEMPLATE, name, "--folder", &path]).await?;
    symlink(target, project.join("target")).context("cannot share the target folder")?;
    let (build, built) = typecase(bench, &["build", &path]).await?;
    let publish = ["publish", &path, "--server", &server, "--data", &data];
    let (publish, published) = typecase(bench, &publish).await?;
    let millis = |document: &Value, key: &str| {
        document[key].as_f64().with_context(|| format!("there is no `{key}` in {document}"))
    };
    Ok(Round {
        new: milliseconds(new),
        build: milliseconds(build),
        publish: milliseconds(publish),
        cargo: millis(&built, "build_ms")?,
        rollout: millis(&published, "duration_ms")?,
    })
}

/// Runs a command to its end: how long it took and what it said.
async fn typecase(bench: &Bench, arguments: &[&str]) -> Result<(Duration, Value)> {
    let mut command = Command::new(&bench.server);
    command.args(arguments).arg("--json").stdin(Stdio::null()).stderr(Stdio::piped());
    command.env("CARGO_NET_OFFLINE", "true").kill_on_drop(true);
    let started = Instant::now();
    let output = command.output().await.context("cannot start the program")?;
    let duration = started.elapsed();
    if !output.status.success() {
        bail!("`typecase {}`: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    let document = serde_json::from_slice(&output.stdout).context("the answer is not JSON")?;
    Ok((duration, document))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
