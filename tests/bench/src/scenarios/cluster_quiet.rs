//! What a node asks of the database and of Redis when nobody publishes: nothing for a request, little for itself.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::bundle::Contents;
use crate::cluster::Cluster;
use crate::contest::median;
use crate::counters::{Asked, Counting};
use crate::guests;
use crate::load::{self, Clients};
use crate::options::Bench;
use crate::report::{Bar, Report};

const CLIENTS: usize = 16;
/// One call for each request would be 1,000; timers that tick a little earlier in one window than in the other are less
/// than 1.
const CALLS_BAR: f64 = 1.0;
/// However many apps there are.
const IDLE_BAR: f64 = 5.0;
/// What follows a publish has ended.
const SETTLE: Duration = Duration::from_secs(3);

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let window = Duration::from_secs(bench.sized(20, 8));
    let apps = bench.sized(500, 25);
    let component = guests::read(&guests::example(bench, "hello")?)?;
    let mut cluster = Cluster::start(bench, "cluster-quiet", 1).await?;
    publish(&mut cluster, &component, 0).await?;
    tokio::time::sleep(SETTLE).await;

    // One app: idle, then under load for as long.
    let quiet = Asked::within(&cluster.services, window).await;
    let clients = Clients {
        address: cluster.nodes[0].apps.clone(),
        path: "/app-0/".to_owned(),
        count: CLIENTS,
        fresh_connections: false,
        pace: None,
    };
    let counting = Counting::start(&cluster.services).await;
    let load = load::run(&[clients], window).await;
    let busy = counting.end(&cluster.services).await;
    if load.failed > 0 {
        bail!("{} requests failed, such as: {:?}", load.failed, load.failures);
    }
    let beyond = busy.beyond(&quiet);
    let requests = load.requests() as f64;
    for (what, beyond, quiet, busy) in [
        ("SQL statements", beyond.statements, quiet.statements, busy.statements),
        ("Redis commands", beyond.redis_commands, quiet.redis_commands, busy.redis_commands),
    ] {
        report.value(
            &format!("{what} for 1,000 requests to a public app"),
            beyond / requests * 1_000.0,
            "calls",
            Bar::AtMost(CALLS_BAR),
            format!("{requests} requests: {busy} while they came, {quiet} in as much time without them"),
        );
    }

    for number in 1..apps {
        publish(&mut cluster, &component, number).await?;
        if (number + 1) % 100 == 0 {
            eprintln!("    {} apps published", number + 1);
        }
    }
    tokio::time::sleep(SETTLE).await;
    let (mut statements, mut kib, mut commands) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds() {
        let idle = Asked::within(&cluster.services, window).await;
        statements.push(idle.a_second(|asked| asked.statements));
        kib.push(idle.a_second(|asked| asked.database_kib));
        commands.push(idle.a_second(|asked| asked.redis_commands));
    }
    report.value(
        &format!("SQL statements of an idle node with {apps} apps"),
        median(&statements),
        "calls/s",
        Bar::AtMost(IDLE_BAR),
        format!(
            "with one app {:.1}/s; {:.1} KiB/s of answers; {:.1} Redis commands/s; the collection every 10 minutes is not in it",
            quiet.a_second(|asked| asked.statements),
            median(&kib),
            median(&commands)
        ),
    );

    // Every node also does this once: it reads what should run, looks for what is old, and collects that again every 10
    // minutes.
    let idle = Asked::within(&cluster.services, window).await;
    let counting = Counting::start(&cluster.services).await;
    cluster.restart(bench, 0).await?;
    tokio::time::sleep(SETTLE).await;
    let start = counting.end(&cluster.services).await.beyond(&idle);
    report.note(
        &format!("SQL statements of a start with {apps} apps"),
        start.statements,
        "calls",
        format!("the first collection is among them; {:.0} KiB of answers", start.database_kib),
    );
    cluster.stop().await
}

async fn publish(cluster: &mut Cluster, component: &[u8], number: u32) -> Result<()> {
    let name = format!("app-{number}");
    // A digest of its own each, as real apps have.
    let component = guests::salted(component, number);
    let bundle = Contents { name: &name, component: &component, ..Contents::default() };
    cluster.nodes[0].admin.publish(&name, bundle.zip()?).await.map(drop)
}
