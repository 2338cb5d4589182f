//! Many apps in turn: what each works on has left the processor's caches. A hello has so little data that all of them share
//! sandboxes; apps with more need warm slots of their own in the pool, which is not measured here.

use anyhow::Result;

use crate::bundle::Contents;
use crate::contest::{self, Contender};
use crate::guests;
use crate::node::Node;
use crate::options::Bench;
use crate::report::{Bar, Report};
use crate::wrk::Target;

const APPS: u32 = 64;
/// As many as `idle_apps` loads.
const MOST_APPS: u32 = 500;
const MOST_BAR: f64 = 0.5;
const CONNECTIONS: u32 = 32;
const ONE: &str = "one app";
const MANY: &str = "64 apps in turn";
const MOST: &str = "500 apps in turn";

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let component = guests::read(&guests::example(bench, "hello")?)?;
    let mut node = Node::start(bench, "many-apps").await?;
    for number in 0..MOST_APPS {
        let name = format!("app-{number}");
        // A digest of its own each, as real apps have: otherwise they would share their code.
        let component = guests::salted(&component, number);
        let bundle = Contents { name: &name, component: &component, ..Contents::default() };
        node.admin.publish(&name, bundle.zip()?).await?;
    }
    // The same script for all, so that its cost is in all.
    let contender = |name, apps: u32| Contender {
        name,
        server: &node.server,
        target: Target {
            script: Some((bench.root.join("tests/bench/scripts/many_apps.lua"), apps.to_string())),
            ..node.target("/", CONNECTIONS)
        },
    };
    let standings =
        contest::run(bench, &[contender(ONE, 1), contender(MANY, APPS), contender(MOST, MOST_APPS)]).await?;
    report.contest(&standings);
    report.ratio(&standings, MANY, ONE, Bar::AtLeast(0.85));
    report.ratio(&standings, MOST, ONE, Bar::AtLeast(MOST_BAR));
    node.server.stop().await
}
