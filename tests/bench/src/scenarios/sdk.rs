//! What the SDK costs: the same answer through its router, handlers and `http` types, and from bindings alone. The raw
//! one neither looks at the path nor allocates, so this is all that the SDK does.

use anyhow::Result;

use crate::bundle::Contents;
use crate::contest::{self, Contender};
use crate::guests;
use crate::node::Node;
use crate::options::Bench;
use crate::report::{Bar, Report};

const RAW: &str = "hello, raw bindings";
const SDK: &str = "hello, SDK";
const EXAMPLES: [(&str, &str); 2] = [(RAW, "hello"), (SDK, "hello-sdk")];
const CONNECTIONS: u32 = 32;

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let mut node = Node::start(bench, "sdk").await?;
    for (contender, name) in EXAMPLES {
        let component = guests::read(&guests::example(bench, name)?)?;
        let bundle = Contents { name, component: &component, ..Contents::default() };
        node.admin.publish(name, bundle.zip()?).await?;
        let detail = format!("examples/{name}, a component of {} bytes", component.len());
        report.note(&format!("size of {contender}"), component.len() as f64 / 1024.0, "KiB", detail);
    }
    let contenders = EXAMPLES.map(|(contender, name)| Contender {
        name: contender,
        server: &node.server,
        target: node.target(&format!("/{name}/"), CONNECTIONS),
    });
    let standings = contest::run(bench, &contenders).await?;
    report.contest(&standings);
    report.ratio(&standings, SDK, RAW, Bar::AtLeast(0.95));
    node.server.stop().await
}
