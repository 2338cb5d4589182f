//! A thousand releases of one app: what the node keeps of those that nobody asks for any more.

use anyhow::{Result, bail};

use crate::bundle::Contents;
use crate::connection;
use crate::guests;
use crate::node::Node;
use crate::options::Bench;
use crate::report::{Bar, Report};

/// Memory is looked at after each of these parts.
const PARTS: usize = 10;
/// Until then allocators and the database's caches take what they want; the latter go on for a while, by little.
const SETTLED_AFTER: usize = 4;
/// A release that stays loaded costs 75 KiB (see `idle_apps`): one that is not freed would be seen.
const LEFT_BAR_KIB: f64 = 15.0;

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let publishes = bench.sized(1_000, 100);
    let component = guests::read(&guests::example(bench, "hello")?)?;
    let mut node = Node::start(bench, "many-publishes").await?;
    let mut sizes = Vec::new();
    for number in 1..=publishes {
        let component = guests::salted(&component, number);
        let bundle = Contents { name: "hello", component: &component, ..Contents::default() };
        node.admin.publish("hello", bundle.zip()?).await?;
        let answer = connection::get_once(&node.apps, "/hello/").await?;
        if answer.status != 200 {
            bail!("after publish {number} the app answers {}", answer.status);
        }
        if (number as usize).is_multiple_of(publishes as usize / PARTS) {
            sizes.push(node.server.anonymous_kib()?);
            eprintln!("    {number} publishes: {} KiB", sizes.last().copied().unwrap_or_default());
        }
    }
    node.server.stop().await?;
    let settled = sizes.get(SETTLED_AFTER - 1).copied().unwrap_or_default();
    let last = sizes.last().copied().unwrap_or_default();
    let later = f64::from(publishes) * (PARTS - SETTLED_AFTER) as f64 / PARTS as f64;
    let mib: Vec<u64> = sizes.iter().map(|kib| kib / 1024).collect();
    report.value(
        &format!("anonymous memory that each of the last {later:.0} of {publishes} publishes leaves"),
        last.saturating_sub(settled) as f64 / later,
        "KiB",
        Bar::AtMost(LEFT_BAR_KIB),
        format!("{mib:?} MiB after each tenth"),
    );
    Ok(())
}
