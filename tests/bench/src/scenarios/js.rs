//! JavaScript: the guest carries its engine, so a fresh instance is thirteen megabytes of it.

use anyhow::Result;

use crate::bundle::Contents;
use crate::contest::{self, Contender};
use crate::guests;
use crate::node::Node;
use crate::options::Bench;
use crate::peers::wasmtime_serve;
use crate::report::{Bar, Report};

const OURS: &str = "Typecase, JavaScript, fresh";
const CONNECTIONS: u32 = 32;

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let hello = guests::example(bench, "hello-js")?;
    let component = guests::read(&hello)?;
    let mut node = Node::start(bench, "js").await?;
    let bundle = Contents { name: "hello-js", component: &component, ..Contents::default() };
    node.admin.publish("hello-js", bundle.zip()?).await?;
    let wasmtime = report.peer(wasmtime_serve::NAME, wasmtime_serve::start(bench, &hello, &[]).await);

    let mut contenders =
        vec![Contender { name: OURS, server: &node.server, target: node.target("/hello-js/", CONNECTIONS) }];
    if let Some(peer) = &wasmtime {
        contenders.push(Contender {
            name: wasmtime_serve::NAME,
            server: &peer.server,
            target: peer.target("/", CONNECTIONS),
        });
    }
    let standings = contest::run(bench, &contenders).await?;
    report.contest(&standings);
    report.ratio(&standings, OURS, wasmtime_serve::NAME, Bar::AtLeast(2.5));
    node.server.stop().await
}
