//! Opt-in reuse, against what `wasmtime serve` does for such a component unless told otherwise.

use anyhow::Result;

use crate::bundle::Contents;
use crate::contest::{self, Contender};
use crate::guests;
use crate::node::Node;
use crate::options::Bench;
use crate::peers::wasmtime_serve;
use crate::report::{Bar, Report};

const OURS: &str = "Typecase, reuse = 1000";
const CONNECTIONS: u32 = 32;

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let hello = guests::example(bench, "hello")?;
    let component = guests::read(&hello)?;
    let mut node = Node::start(bench, "reuse").await?;
    let bundle =
        Contents { name: "reused", component: &component, limits: "reuse = 1000", ..Contents::default() };
    node.admin.publish("reused", bundle.zip()?).await?;
    let wasmtime = report.peer(wasmtime_serve::NAME, wasmtime_serve::start(bench, &hello, &[]).await);

    let mut contenders =
        vec![Contender { name: OURS, server: &node.server, target: node.target("/reused/", CONNECTIONS) }];
    if let Some(peer) = &wasmtime {
        contenders.push(Contender {
            name: wasmtime_serve::NAME,
            server: &peer.server,
            target: peer.target("/", CONNECTIONS),
        });
    }
    let standings = contest::run(bench, &contenders).await?;
    report.contest(&standings);
    report.ratio(&standings, OURS, wasmtime_serve::NAME, Bar::AtLeast(4.0));
    node.server.stop().await
}
