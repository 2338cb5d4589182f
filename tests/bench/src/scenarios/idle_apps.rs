//! Apps that nobody asks for: what they add to a restart and to memory.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::bundle::Contents;
use crate::connection;
use crate::contest::median;
use crate::guests;
use crate::node::Node;
use crate::options::Bench;
use crate::report::{Bar, Report};

/// What the start itself took is given back to the system meanwhile.
const SETTLE: Duration = Duration::from_secs(3);
const READY_BAR_MS: f64 = 2_000.0;
const MEMORY_BAR_KIB: f64 = 150.0;

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let apps = bench.sized(500, 50);
    let component = guests::read(&guests::example(bench, "hello")?)?;

    // The first start makes the data folder; the baseline is a restart, as the measurement is.
    Node::start(bench, "idle-apps").await?.server.stop().await?;
    let mut node = Node::start(bench, "idle-apps").await?;
    tokio::time::sleep(SETTLE).await;
    let empty_kib = node.server.anonymous_kib()?;
    for number in 0..apps {
        let name = format!("app-{number}");
        let component = guests::salted(&component, number);
        let bundle = Contents { name: &name, component: &component, ..Contents::default() };
        node.admin.publish(&name, bundle.zip()?).await?;
        if (number + 1) % 100 == 0 {
            eprintln!("    {} apps published", number + 1);
        }
    }
    tokio::time::sleep(SETTLE).await;
    let published_kib = node.server.anonymous_kib()?;
    node.server.stop().await?;

    let mut starts = Vec::new();
    let mut memory = Vec::new();
    for _ in 0..bench.rounds() {
        let node = Node::start(bench, "idle-apps").await?;
        starts.push(node.ready_after.as_secs_f64() * 1_000.0);
        tokio::time::sleep(SETTLE).await;
        memory.push(node.server.anonymous_kib()? as f64);
        let last = format!("/app-{}/", apps - 1);
        let answer = connection::get_once(&node.apps, &last).await?;
        if answer.status != 200 {
            bail!("ready, but {last} answers {}", answer.status);
        }
        node.server.stop().await?;
    }
    let per_app = |kib: f64| (kib - empty_kib as f64) / f64::from(apps);
    report.value(
        &format!("start to ready with {apps} apps, warm cache"),
        median(&starts),
        "ms",
        Bar::AtMost(READY_BAR_MS),
        format!("{} starts", starts.len()),
    );
    report.value(
        &format!("anonymous memory per idle app of {apps}"),
        per_app(median(&memory)),
        "KiB",
        Bar::AtMost(MEMORY_BAR_KIB),
        format!(
            "process {} KiB without apps, {:.0} KiB with; {:.0} KiB each right after publishing them all",
            empty_kib,
            median(&memory),
            per_app(published_kib as f64)
        ),
    );
    Ok(())
}
