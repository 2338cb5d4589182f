//! Endless loops on the only core: they may be slow, everybody else may not.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::bundle::Contents;
use crate::guests;
use crate::load::{self, Clients};
use crate::node::Node;
use crate::options::Bench;
use crate::report::{Bar, Report};

const SPINNERS: usize = 8;
/// Longer than the measurement: what is measured is sharing, not the end of a loop.
const SPINNER_LIMITS: &str = "cpu_ms = 120000\ntimeout_ms = 120000";
const APP_CLIENTS: usize = 4;
const APP_PACE: Duration = Duration::from_millis(50);
const HEALTH_PACE: Duration = Duration::from_millis(20);
const APP_BAR_MS: f64 = 100.0;
const HEALTH_BAR_MS: f64 = 50.0;
/// Less than this of the core means that nothing span; whatever else the machine does takes its part.
const BUSY_SHARE: f64 = 0.5;
const SPIN_UP: Duration = Duration::from_secs(1);

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let duration = bench.sized(Duration::from_secs(20), Duration::from_secs(6));
    let hello = guests::read(&guests::example(bench, "hello")?)?;
    let spin = guests::read(&guests::hostile(bench, "hostile")?)?;
    let mut node = Node::start_on_core(bench, "spinners", 0).await?;
    let spin = Contents {
        name: "spin",
        component: &spin,
        health: "/ok",
        limits: SPINNER_LIMITS,
        ..Contents::default()
    };
    node.admin.publish("spin", spin.zip()?).await?;
    let hello = Contents { name: "hello", component: &hello, ..Contents::default() };
    node.admin.publish("hello", hello.zip()?).await?;

    let clients = |address: &str, path: &str, count, pace| Clients {
        address: address.to_owned(),
        path: path.to_owned(),
        count,
        fresh_connections: false,
        pace,
    };
    let spinning = clients(&node.apps, "/spin/loop", SPINNERS, None);
    let app = [clients(&node.apps, "/hello/", APP_CLIENTS, Some(APP_PACE))];
    let health = [clients(&node.admin_address, "/livez", 1, Some(HEALTH_PACE))];

    // They do not come to an end by themselves; going away with the task closes their connections.
    let spinners = tokio::spawn(async move { load::run(&[spinning], duration + SPIN_UP).await });
    tokio::time::sleep(SPIN_UP).await;
    let started = Instant::now();
    let before = node.server.cpu();
    let (app, health) = tokio::join!(load::run(&app, duration), load::run(&health, duration));
    let busy = (node.server.cpu() - before).as_secs_f64() / started.elapsed().as_secs_f64();
    let ended = spinners.is_finished();
    spinners.abort();
    if ended || busy < BUSY_SHARE {
        bail!("the guests did not spin: the node used {:.0} % of the core", busy * 100.0);
    }
    if app.failed + health.failed > 0 {
        bail!(
            "{} requests failed: {:?}",
            app.failed + health.failed,
            [app.failures, health.failures].concat()
        );
    }
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1_000.0;
    report.value(
        &format!("p99 of another app beside {SPINNERS} spinning guests on one core"),
        milliseconds(app.percentile(0.99)),
        "ms",
        Bar::AtMost(APP_BAR_MS),
        format!("{} requests, the slowest {:.0} ms", app.requests(), milliseconds(app.slowest())),
    );
    report.value(
        &format!("slowest health check beside {SPINNERS} spinning guests on one core"),
        milliseconds(health.slowest()),
        "ms",
        Bar::AtMost(HEALTH_BAR_MS),
        format!("{} checks, p99 {:.1} ms", health.requests(), milliseconds(health.percentile(0.99))),
    );
    node.server.stop().await
}
