//! Many control planes on one database and one Redis: how soon all of them follow a publish, and what they ask.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::bundle::Contents;
use crate::cluster::{Cluster, Services};
use crate::contest::median;
use crate::counters::{Asked, Counting};
use crate::guests;
use crate::options::Bench;
use crate::report::{Bar, Report};
use crate::simulated::{Rollout, SimulatedCluster, app_name};
use crate::switch::milliseconds;

/// How many nodes are compared with as many real ones.
const COMPARED: usize = 3;
/// The real ones take some time to prepare a release, which moves a few calls.
const COMPARED_BAR: f64 = 1.3;
/// What a node's pool opens at most, and what its watch over the database needs beside it.
const CONNECTIONS_A_NODE: usize = 9;
/// For the bench itself and for whoever administers the server.
const CONNECTIONS_SPARE: usize = 50;
/// What follows a publish has ended.
const SETTLE: Duration = Duration::from_secs(2);
/// What follows the start of many nodes has ended.
const SETTLE_START: Duration = Duration::from_secs(5);

/// What a cluster asks of its services.
struct Habits {
    idle: Asked,
    /// For one publish, beyond what is asked anyway.
    publish: Vec<Asked>,
}

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    compare(bench, report).await?;
    let apps = bench.sized(500, 50);
    let sizes: &[usize] = bench.sized(&[25, 50, 100], &[5, 20]);
    for nodes in sizes {
        scale(bench, report, *nodes, apps).await?;
    }
    Ok(())
}

/// Whether the simulated nodes ask what real ones ask; all else would say nothing about the product.
async fn compare(bench: &Bench, report: &mut Report) -> Result<()> {
    let real = habits_of_real_nodes(bench).await?;
    let services = Services::start(bench, "scale-compared", None).await?;
    let mut cluster = SimulatedCluster::start(&services, COMPARED, 1).await?;
    let (simulated, _) = habits(bench, &services, &mut cluster).await?;
    let failures = cluster.failures();
    if let Some(first) = &failures.first {
        eprintln!("    {} calls of the simulated nodes failed, such as: {first}", failures.count);
    }
    for (when, simulated, real) in [
        ("idle", per_second(&simulated.idle), per_second(&real.idle)),
        ("for a publish", statements(&simulated.publish), statements(&real.publish)),
    ] {
        // Either way it is a difference.
        let difference = (simulated / real).max(real / simulated);
        report.value(
            &format!("{COMPARED} simulated nodes / {COMPARED} real ones, SQL statements {when}"),
            difference,
            "x",
            Bar::AtMost(COMPARED_BAR),
            format!("{simulated:.1} / {real:.1}"),
        );
    }
    Ok(())
}

async fn habits_of_real_nodes(bench: &Bench) -> Result<Habits> {
    let component = guests::read(&guests::example(bench, "hello")?)?;
    let mut cluster = Cluster::start(bench, "scale-real", COMPARED).await?;
    let bundle = |salt| -> Result<_> {
        let component = guests::salted(&component, salt);
        Contents { name: "hello", component: &component, ..Contents::default() }.zip()
    };
    // Compiled by every node beforehand: simulated ones compile nothing.
    let bundles = [bundle(0)?, bundle(1)?];
    for bundle in &bundles {
        cluster.nodes[0].admin.publish("hello", bundle.clone()).await?;
    }
    tokio::time::sleep(SETTLE_START).await;
    let idle = Asked::within(&cluster.services, window(bench)).await;
    let mut publish = Vec::new();
    for round in 0..publishes(bench) {
        let counting = Counting::start(&cluster.services).await;
        let by = round % COMPARED;
        cluster.nodes[by].admin.publish("hello", bundles[round % 2].clone()).await?;
        tokio::time::sleep(SETTLE).await;
        publish.push(counting.end(&cluster.services).await.beyond(&idle));
    }
    cluster.stop().await?;
    Ok(Habits { idle, publish })
}

/// What simulated nodes ask, and how their publishes went.
async fn habits(
    bench: &Bench,
    services: &Services,
    cluster: &mut SimulatedCluster,
) -> Result<(Habits, Vec<Rollout>)> {
    tokio::time::sleep(SETTLE_START).await;
    let idle = Asked::within(services, window(bench)).await;
    let app = app_name(0)?;
    let (mut publish, mut rollouts) = (Vec::new(), Vec::new());
    for round in 0..publishes(bench) {
        let counting = Counting::start(services).await;
        rollouts.push(cluster.publish(&app, round).await?);
        tokio::time::sleep(SETTLE).await;
        publish.push(counting.end(services).await.beyond(&idle));
    }
    Ok((Habits { idle, publish }, rollouts))
}

async fn scale(bench: &Bench, report: &mut Report, nodes: usize, apps: usize) -> Result<()> {
    let connections_max = nodes * CONNECTIONS_A_NODE + CONNECTIONS_SPARE;
    let services = Services::start(bench, &format!("scale-{nodes}"), Some(connections_max)).await?;
    let starting = Instant::now();
    let mut cluster =
        SimulatedCluster::start(&services, nodes, apps).await.with_context(|| format!("{nodes} nodes"))?;
    let started = starting.elapsed();
    let at_start = cluster.failures();
    let (habits, rollouts) =
        habits(bench, &services, &mut cluster).await.with_context(|| format!("{nodes} nodes"))?;
    let failures = cluster.failures();
    let connections = services.mariadb.status("Max_used_connections").await;

    let times = |of: fn(&Rollout) -> Duration| -> Vec<f64> {
        rollouts.iter().map(|rollout| milliseconds(of(rollout))).collect()
    };
    let served = times(|rollout| rollout.served.saturating_sub(rollout.activated));
    let told = median(&times(|rollout| rollout.told));
    report.note(
        &format!("{nodes} nodes: from the activation to all serving"),
        median(&served),
        "ms",
        format!(
            "worst of {} {:.0} ms; activated {:.0} ms after it was recorded, all receipts there after {told:.0} ms",
            served.len(),
            served.iter().copied().fold(0.0, f64::max),
            median(&times(|rollout| rollout.activated)),
        ),
    );
    let publish = statements(&habits.publish);
    let announcements: Vec<f64> = habits.publish.iter().map(|asked| asked.announcements).collect();
    report.note(
        &format!("{nodes} nodes: SQL for a publish"),
        publish,
        "statements",
        format!(
            "{:.0} for each node, {:.0} a second until all receipts are there; {:.0} announcements, each heard by all",
            publish / nodes as f64,
            publish / (told / 1_000.0).max(f64::EPSILON),
            median(&announcements)
        ),
    );
    report.note(
        &format!("{nodes} nodes: SQL while idle, {apps} apps"),
        per_second(&habits.idle),
        "statements/s",
        format!(
            "{:.1} for each node; {:.0} KiB/s of answers; {:.0} Redis commands/s; at most {connections} connections at once",
            per_second(&habits.idle) / nodes as f64,
            habits.idle.a_second(|asked| asked.database_kib),
            habits.idle.a_second(|asked| asked.redis_commands),
        ),
    );
    // The first thing to fail when a database is asked too much; the nodes try again, so that it costs time alone.
    report.note(
        &format!("{nodes} nodes: calls of the database that failed"),
        failures.count as f64,
        "calls",
        format!(
            "idle and in {} publishes{}; {} while they started, a few at once, which took {:.0} s",
            rollouts.len(),
            failures.first.map(|first| format!(", such as: {first}")).unwrap_or_default(),
            at_start.count,
            started.as_secs_f64()
        ),
    );
    Ok(())
}

fn per_second(asked: &Asked) -> f64 {
    asked.a_second(|asked| asked.statements)
}

fn statements(publishes: &[Asked]) -> f64 {
    median(&publishes.iter().map(|asked| asked.statements).collect::<Vec<_>>())
}

fn window(bench: &Bench) -> Duration {
    // The slowest of the timers that count comes every 2 s; the others are rare.
    Duration::from_secs(bench.sized(30, 6))
}

fn publishes(bench: &Bench) -> usize {
    bench.sized(9, 3)
}
