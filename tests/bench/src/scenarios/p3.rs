//! WASI 0.3, where `wasmtime serve` reuses instances unless told otherwise: both sides get the same setting.

use anyhow::Result;

use crate::bundle::Contents;
use crate::contest::{self, Contender};
use crate::guests;
use crate::node::Node;
use crate::options::Bench;
use crate::peers::wasmtime_serve;
use crate::report::{Bar, Report};

const FRESH: &str = "Typecase, 0.3, fresh";
const REUSED: &str = "Typecase, 0.3, reuse = 128";
const THEIR_FRESH: &str = "wasmtime serve, 0.3, fresh";
const THEIR_REUSED: &str = "wasmtime serve, 0.3, reuse 128";
const THEIR_FRESH_FLAGS: [&str; 2] =
    ["--max-instance-reuse-count=1", "--max-instance-concurrent-reuse-count=1"];
/// Its defaults for 0.3, spelled out.
const THEIR_REUSED_FLAGS: [&str; 2] =
    ["--max-instance-reuse-count=128", "--max-instance-concurrent-reuse-count=16"];
const CONNECTIONS: u32 = 32;

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let hello = guests::example(bench, "hello-p3")?;
    let component = guests::read(&hello)?;
    let mut node = Node::start(bench, "p3").await?;
    for (name, limits) in [("fresh", "reuse = 1"), ("reused", "reuse = 128")] {
        let bundle = Contents { name, component: &component, limits, ..Contents::default() };
        node.admin.publish(name, bundle.zip()?).await?;
    }
    let pairs = [
        (FRESH, "/fresh/", THEIR_FRESH, THEIR_FRESH_FLAGS),
        (REUSED, "/reused/", THEIR_REUSED, THEIR_REUSED_FLAGS),
    ];
    for (ours, path, theirs, flags) in pairs {
        let wasmtime = report.peer(theirs, wasmtime_serve::start(bench, &hello, &flags).await);
        let mut contenders =
            vec![Contender { name: ours, server: &node.server, target: node.target(path, CONNECTIONS) }];
        if let Some(peer) = &wasmtime {
            contenders.push(Contender {
                name: theirs,
                server: &peer.server,
                target: peer.target("/", CONNECTIONS),
            });
        }
        let standings = contest::run(bench, &contenders).await?;
        report.contest(&standings);
        report.ratio(&standings, ours, theirs, Bar::AtLeast(1.0));
    }
    node.server.stop().await
}
