//! From an upload to the first answer of the new release, and from a roll back to the first answer of the old one.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::bundle::Contents;
use crate::connection::Connection;
use crate::contest::median;
use crate::guests;
use crate::node::Node;
use crate::options::Bench;
use crate::report::{Bar, Report};
use crate::switch::{milliseconds, text, until_served};

const PUBLISH_BAR_MS: f64 = 300.0;
const ROLL_BACK_BAR_MS: f64 = 20.0;
/// Lets the node finish what it does after a publish, as a person would.
const PAUSE: Duration = Duration::from_millis(300);

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let times = bench.sized(21, 7);
    let component = guests::read(&guests::example(bench, "hello")?)?;
    let mut node = Node::start(bench, "publish-latency").await?;
    let original = Contents { name: "hello", component: &component, ..Contents::default() }.zip()?;
    node.admin.publish("hello", original).await?;
    let mut client = Connection::new(&node.apps);
    let answer = text(client.get("/hello/").await?.body);

    let mut serving = Vec::new();
    let mut answered = Vec::new();
    let mut releases = Vec::new();
    for version in 1..=times {
        let (changed, mark) = guests::reworded(&component, &answer, version)?;
        let bundle = Contents { name: "hello", component: &changed, ..Contents::default() }.zip()?;
        tokio::time::sleep(PAUSE).await;
        // The clock starts before the first byte of a small upload instead of after the last: never in our favour.
        let started = Instant::now();
        let (release, served) = tokio::join!(
            async {
                let release = node.admin.publish("hello", bundle).await;
                (release, started.elapsed())
            },
            until_served(&mut client, "/hello/", &mark, started)
        );
        releases.push((release.0?, mark));
        answered.push(milliseconds(release.1));
        serving.push(milliseconds(served?));
    }
    report.value(
        "publish, cold: from upload to serving",
        median(&serving),
        "ms",
        Bar::AtMost(PUBLISH_BAR_MS),
        format!("{times} publishes; the API answered after {:.0} ms", median(&answered)),
    );

    let mut rolled_back = Vec::new();
    for round in 0..times {
        // Between the last two, back and forth.
        let place = releases.len() - 1 - (1 + round as usize) % 2;
        let (release, mark) = releases.get(place).context("two releases are needed")?;
        tokio::time::sleep(PAUSE).await;
        let started = Instant::now();
        node.admin.activate("hello", *release).await?;
        let served = text(client.get("/hello/").await?.body);
        rolled_back.push(milliseconds(started.elapsed()));
        if !served.contains(mark) {
            bail!("release {release} was said to be active, but `{}` was served", served.trim());
        }
    }
    report.value(
        "roll back: from the call to serving",
        median(&rolled_back),
        "ms",
        Bar::AtMost(ROLL_BACK_BAR_MS),
        format!("{times} times, the first request to the old release included"),
    );
    node.server.stop().await
}
