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
/// Until then allocators, the database's caches and the pool of sandboxes take what they want.
const SETTLED_AFTER: usize = 4;
/// It levels off. A release that stayed loaded would add 75 KiB with each publish (see `idle_apps`).
const GROWTH_BAR: f64 = 1.1;

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
    let tenth = publishes as usize / PARTS;
    let mib: Vec<u64> = sizes.iter().map(|kib| kib / 1024).collect();
    report.value(
        &format!(
            "anonymous memory after {publishes} publishes, against that after {}",
            SETTLED_AFTER * tenth
        ),
        last as f64 / settled as f64,
        "x",
        Bar::AtMost(GROWTH_BAR),
        format!("{mib:?} MiB after each tenth"),
    );
    Ok(())
}
