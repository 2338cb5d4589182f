//! What the SDK costs: an app of two paths written with it, and the same app on bindings alone. What any app of two paths
//! costs shows beside an app that answers without a look at its request.

use anyhow::Result;

use crate::bundle::Contents;
use crate::contest::{self, Contender};
use crate::guests;
use crate::node::Node;
use crate::options::Bench;
use crate::report::{Bar, Report};

const BARE: &str = "one answer to all, raw bindings";
const RAW: &str = "two paths, raw bindings";
const SDK: &str = "two paths, SDK";
const CONNECTIONS: u32 = 32;

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let mut node = Node::start(bench, "sdk").await?;
    let apps = [
        (BARE, "hello", guests::example(bench, "hello")?),
        (RAW, "hello-raw", guests::hostile(bench, "hello_raw")?),
        (SDK, "hello-sdk", guests::example(bench, "hello-sdk")?),
    ];
    for (contender, name, path) in &apps {
        let component = guests::read(path)?;
        let bundle = Contents { name, component: &component, ..Contents::default() };
        node.admin.publish(name, bundle.zip()?).await?;
        let detail = format!("a component of {} bytes", component.len());
        report.note(&format!("size of {contender}"), component.len() as f64 / 1024.0, "KiB", detail);
    }
    let contenders = apps.map(|(contender, name, _)| Contender {
        name: contender,
        server: &node.server,
        target: node.target(&format!("/{name}/"), CONNECTIONS),
    });
    let standings = contest::run(bench, &contenders).await?;
    report.contest(&standings);
    report.ratio(&standings, SDK, RAW, Bar::AtLeast(0.95));
    report.ratio(&standings, SDK, BARE, None);
    node.server.stop().await
}
