//! Three nodes on this machine: from an upload to one of them, and from a roll back, to the moment at which all serve it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::future::try_join_all;

use crate::bundle::Contents;
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::contest::median;
use crate::guests;
use crate::options::Bench;
use crate::report::{Bar, Report};
use crate::switch::{milliseconds, text, until_served};

const NODES: usize = 3;
const PATH: &str = "/hello/";
const SPREAD_BAR_MS: f64 = 100.0;
const ROLL_BACK_BAR_MS: f64 = 200.0;
/// Lets the nodes finish what they do after a publish, as a person would.
const PAUSE: Duration = Duration::from_millis(300);

/// A release that was published: its number, what its answers carry, and what was uploaded.
struct Published {
    number: u64,
    mark: String,
    bundle: Bytes,
}

/// The times of many changes, in milliseconds.
#[derive(Default)]
struct Times {
    /// Until the last node served the release.
    all: Vec<f64>,
    /// From the first node's switch to the last one's.
    spread: Vec<f64>,
    /// Until the API said so.
    answered: Vec<f64>,
}

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let times = bench.sized(21, 5);
    let component = guests::read(&guests::example(bench, "hello")?)?;
    let mut cluster = Cluster::start(bench, "cluster-publish", NODES).await?;
    let original = Contents { name: "hello", component: &component, ..Contents::default() }.zip()?;
    cluster.nodes[0].admin.publish("hello", original).await?;
    let mut clients: Vec<Connection> = cluster.apps().map(Connection::new).collect();
    let answer = text(clients[0].get(PATH).await?.body);

    let mut cold = Times::default();
    let mut releases = Vec::new();
    for version in 1..=times {
        let (changed, mark) = guests::reworded(&component, &answer, version)?;
        let bundle = Contents { name: "hello", component: &changed, ..Contents::default() }.zip()?;
        let number = publish(&mut cluster, version, &mut clients, &bundle, &mark, &mut cold).await?;
        releases.push(Published { number, mark, bundle });
    }
    cold.report(report, "publish, cold: from upload to all 3 nodes serving", "never seen before");

    // The last two again and again: new releases, whose bundles every node has fetched and compiled before.
    let place = |round: u32| releases_place(times as usize, round);
    let mut warm = Times::default();
    for round in 0..times {
        let known = releases.get_mut(place(round)).context("two releases are needed")?;
        let (bundle, mark) = (known.bundle.clone(), known.mark.clone());
        known.number = publish(&mut cluster, round, &mut clients, &bundle, &mark, &mut warm).await?;
    }
    warm.report(report, "publish, warm: from upload to all 3 nodes serving", "compiled on each node before");
    let spreads: Vec<f64> = [&*cold.spread, &warm.spread].concat();
    report.value(
        "publish: between the first and the last node's switch",
        median(&spreads),
        "ms",
        Bar::AtMost(SPREAD_BAR_MS),
        format!(
            "{} publishes; cold {:.0} ms, warm {:.0} ms, worst {:.0} ms",
            spreads.len(),
            median(&cold.spread),
            median(&warm.spread),
            worst(&spreads)
        ),
    );

    let mut back = Times::default();
    for round in 0..times {
        let known = releases.get(place(times + round)).context("two releases are needed")?;
        tokio::time::sleep(PAUSE).await;
        let admin = &mut cluster.nodes[round as usize % NODES].admin;
        let started = Instant::now();
        let call = async {
            admin.activate("hello", known.number).await?;
            Ok(started.elapsed())
        };
        let (answered, served) = tokio::try_join!(call, all_served(&mut clients, &known.mark, started))?;
        back.add(&served, answered);
    }
    report.value(
        "roll back: from the call to all 3 nodes serving",
        median(&back.all),
        "ms",
        Bar::AtMost(ROLL_BACK_BAR_MS),
        format!("{}; spread {:.0} ms", back.shown(), median(&back.spread)),
    );
    cluster.stop().await
}

/// Of that many releases the last two in turn, beginning with the one that does not serve.
fn releases_place(count: usize, round: u32) -> usize {
    count.saturating_sub(1 + (1 + round as usize) % 2)
}

/// Uploads to one node after the other, and watches all of them.
async fn publish(
    cluster: &mut Cluster,
    round: u32,
    clients: &mut [Connection],
    bundle: &Bytes,
    mark: &str,
    times: &mut Times,
) -> Result<u64> {
    tokio::time::sleep(PAUSE).await;
    let admin = &mut cluster.nodes[round as usize % NODES].admin;
    // The clock starts before the first byte of a small upload instead of after the last: never in our favour.
    let started = Instant::now();
    let call = async {
        let number = admin.publish("hello", bundle.clone()).await?;
        Ok((number, started.elapsed()))
    };
    let ((number, answered), served) = tokio::try_join!(call, all_served(clients, mark, started))?;
    times.add(&served, answered);
    Ok(number)
}

/// When each node's first answer of the release had come. One clock for all of them, in one thread.
async fn all_served(clients: &mut [Connection], mark: &str, started: Instant) -> Result<Vec<Duration>> {
    try_join_all(clients.iter_mut().map(|client| until_served(client, PATH, mark, started))).await
}

impl Times {
    fn add(&mut self, served: &[Duration], answered: Duration) {
        let first = served.iter().min().copied().unwrap_or_default();
        let last = served.iter().max().copied().unwrap_or_default();
        self.all.push(milliseconds(last));
        self.spread.push(milliseconds(last.saturating_sub(first)));
        self.answered.push(milliseconds(answered));
    }

    fn shown(&self) -> String {
        format!(
            "{} times, worst {:.0} ms; the API answered after {:.0} ms",
            self.all.len(),
            worst(&self.all),
            median(&self.answered)
        )
    }

    fn report(&self, report: &mut Report, what: &str, bundles: &str) {
        report.note(what, median(&self.all), "ms", format!("bundles {bundles}; {}", self.shown()));
    }
}

fn worst(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::releases_place;

    #[test]
    fn the_last_two_take_turns() {
        // After as many warm publishes as there are releases, the roll backs begin with the one that does not serve.
        let places: Vec<usize> = (0..10).map(|round| releases_place(5, round)).collect();
        assert_eq!(places, [3, 4, 3, 4, 3, 4, 3, 4, 3, 4]);
    }
}
