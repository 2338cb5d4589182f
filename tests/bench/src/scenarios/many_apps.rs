//! Many apps in turn: what each works on has left the processor's caches.
//!
//! A hello has so little data that all of them share a few sandboxes; one made with the SDK has more, which a sandbox maps,
//! so that each app needs some of its own.

use anyhow::Result;

use crate::bundle::Contents;
use crate::contest::{self, Contender};
use crate::guests;
use crate::node::Node;
use crate::options::Bench;
use crate::report::{Bar, Report};
use crate::wrk::Target;

const MANY: u32 = 64;
/// As many as `idle_apps` loads.
const MOST: u32 = 500;
const MOST_BAR: f64 = 0.5;
const CONNECTIONS: u32 = 32;

const ONE_HELLO: &str = "one app";
const MANY_HELLOS: &str = "64 apps in turn";
const MOST_HELLOS: &str = "500 apps in turn";

const ONE_SDK: &str = "one SDK app";
const MANY_SDK: &str = "64 SDK apps in turn";
const MOST_SDK: &str = "500 SDK apps in turn";

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    in_turn(bench, report, "hello", [ONE_HELLO, MANY_HELLOS, MOST_HELLOS], Bar::AtLeast(0.85)).await?;
    in_turn(bench, report, "hello-sdk", [ONE_SDK, MANY_SDK, MOST_SDK], None).await
}

/// Copies of an example, on a node of their own.
async fn in_turn(
    bench: &Bench,
    report: &mut Report,
    example: &str,
    [one, many, most]: [&'static str; 3],
    many_bar: impl Into<Option<Bar>>,
) -> Result<()> {
    let component = guests::read(&guests::example(bench, example)?)?;
    let mut node = Node::start(bench, &format!("many-apps-{example}")).await?;
    for number in 0..MOST {
        let name = format!("app-{number}");
        // A digest of its own each, as real apps have: otherwise they would share their code.
        let component = guests::salted(&component, number);
        let bundle = Contents { name: &name, component: &component, ..Contents::default() };
        node.admin.publish(&name, bundle.zip()?).await?;
    }
    // The same script for all, so that its cost is in all.
    let contenders = [(one, 1), (many, MANY), (most, MOST)].map(|(name, apps)| Contender {
        name,
        server: &node.server,
        target: Target {
            script: Some((bench.root.join("tests/bench/scripts/many_apps.lua"), apps.to_string())),
            ..node.target("/", CONNECTIONS)
        },
    });
    let standings = contest::run(bench, &contenders).await?;
    report.contest(&standings);
    report.ratio(&standings, many, one, many_bar);
    report.ratio(&standings, most, one, Bar::AtLeast(MOST_BAR));
    node.server.stop().await
}
