//! The default mode: each request gets an instance that nobody used before.

use anyhow::Result;

use crate::bundle::Contents;
use crate::contest::{self, Contender};
use crate::guests;
use crate::node::Node;
use crate::options::Bench;
use crate::peers::{native_axum, node_js, wasmtime_serve};
use crate::report::{Bar, Report};

const OURS: &str = "Typecase, fresh";
const CONNECTIONS: [u32; 2] = [32, 256];

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let hello = guests::example(bench, "hello")?;
    let component = guests::read(&hello)?;
    let mut node = Node::start(bench, "fresh").await?;
    let bundle = Contents { name: "hello", component: &component, ..Contents::default() };
    node.admin.publish("hello", bundle.zip()?).await?;
    let wasmtime = report.peer(wasmtime_serve::NAME, wasmtime_serve::start(bench, &hello, &[]).await);
    let node_js = report.peer(node_js::NAME, node_js::start(bench).await);
    let axum = report.peer(native_axum::NAME, native_axum::start(bench).await);

    for connections in CONNECTIONS {
        let mut contenders =
            vec![Contender { name: OURS, server: &node.server, target: node.target("/hello/", connections) }];
        let peers =
            [(wasmtime_serve::NAME, &wasmtime), (node_js::NAME, &node_js), (native_axum::NAME, &axum)];
        for (name, peer) in peers {
            if let Some(peer) = peer {
                contenders.push(Contender {
                    name,
                    server: &peer.server,
                    target: peer.target("/", connections),
                });
            }
        }
        let standings = contest::run(bench, &contenders).await?;
        report.contest(&standings);
        report.ratio(&standings, OURS, wasmtime_serve::NAME, Bar::AtLeast(3.0));
        report.ratio(&standings, OURS, node_js::NAME, Bar::AtLeast(1.0));
        report.ratio(&standings, OURS, native_axum::NAME, Bar::AtLeast(0.30));
    }
    node.server.stop().await
}
