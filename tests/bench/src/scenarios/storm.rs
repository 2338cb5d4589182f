//! New releases all the time, under load that notices every failure.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::time::MissedTickBehavior;

use crate::admin::Admin;
use crate::bundle::Contents;
use crate::contest::median;
use crate::guests;
use crate::load::{self, Clients};
use crate::node::Node;
use crate::options::Bench;
use crate::report::{Bar, Report};

const PUBLISH_INTERVAL: Duration = Duration::from_millis(500);
const P99_BAR: f64 = 1.5;
const KEPT_CONNECTIONS: usize = 30;
const FRESH_CONNECTIONS: usize = 2;
const WARM_UP: Duration = Duration::from_secs(1);

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    // Short enough to alternate, long enough for a dozen publishes.
    let duration = bench.duration().max(Duration::from_secs(bench.sized(6, 3)));
    let component = guests::read(&guests::example(bench, "hello")?)?;
    let mut node = Node::start(bench, "storm").await?;
    // Made beforehand: compressing them would stall the very thread that measures latencies.
    let per_round = (duration.as_millis() / PUBLISH_INTERVAL.as_millis()) as usize;
    let mut bundles = Vec::new();
    for number in 0..=(per_round * bench.rounds()) {
        let component = guests::salted(&component, number as u32);
        bundles.push(Contents { name: "hello", component: &component, ..Contents::default() }.zip()?);
    }
    let mut bundles = bundles.into_iter();
    node.admin.publish("hello", bundles.next().context("no bundle was made")?).await?;

    let clients = [
        Clients {
            address: node.apps.clone(),
            path: "/hello/".to_owned(),
            count: KEPT_CONNECTIONS,
            fresh_connections: false,
            pace: None,
        },
        Clients {
            address: node.apps.clone(),
            path: "/hello/".to_owned(),
            count: FRESH_CONNECTIONS,
            fresh_connections: true,
            pace: None,
        },
    ];
    load::run(&clients, WARM_UP).await;
    let (mut quiet_p99, mut storm_p99) = (Vec::new(), Vec::new());
    let (mut requests, mut failed, mut published) = (0, 0, 0);
    let mut failures = Vec::new();
    for round in 1..=bench.rounds() {
        let quiet = load::run(&clients, duration).await;
        let (storm, done) = tokio::join!(
            load::run(&clients, duration),
            publish_all(&mut node.admin, bundles.by_ref().take(per_round).collect(), duration)
        );
        published += done?;
        quiet_p99.push(quiet.percentile(0.99).as_secs_f64() * 1_000.0);
        storm_p99.push(storm.percentile(0.99).as_secs_f64() * 1_000.0);
        eprintln!(
            "    round {round}  quiet: {} requests, p99 {:.2} ms   storm: {} requests, p99 {:.2} ms, slowest {:.0} ms",
            quiet.requests(),
            quiet_p99.last().copied().unwrap_or_default(),
            storm.requests(),
            storm_p99.last().copied().unwrap_or_default(),
            storm.slowest().as_secs_f64() * 1_000.0,
        );
        for seen in [quiet, storm] {
            requests += seen.requests();
            failed += seen.failed;
            failures.extend(seen.failures);
        }
    }
    let planned = per_round * bench.rounds();
    let clients = KEPT_CONNECTIONS + FRESH_CONNECTIONS;
    let mut detail =
        format!("{requests} requests of {clients} clients, {published} publishes of {planned} planned");
    if let Some(failure) = failures.first() {
        detail.push_str(&format!("; {failure}"));
    }
    report.value(
        "failed requests during a publish storm",
        failed as f64,
        "requests",
        Bar::AtMost(0.0),
        detail,
    );
    let (quiet, storm) = (median(&quiet_p99), median(&storm_p99));
    report.value(
        "p99 during the storm / quiet p99",
        storm / quiet,
        "x",
        Bar::AtMost(P99_BAR),
        format!("{storm:.2} / {quiet:.2} ms"),
    );
    node.server.stop().await
}

/// One publish after the other, at most one every interval, until the time is up.
async fn publish_all(admin: &mut Admin, bundles: Vec<Bytes>, duration: Duration) -> Result<usize> {
    let end = tokio::time::Instant::now() + duration;
    let mut ticks = tokio::time::interval(PUBLISH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut published = 0;
    for bundle in bundles {
        ticks.tick().await;
        if tokio::time::Instant::now() >= end {
            break;
        }
        admin.publish("hello", bundle).await?;
        published += 1;
    }
    Ok(published)
}
