//! Publishes the guests that do harm, under limits that a test can wait for.

use typecase_harness::bundles::Bundle;
use typecase_harness::{TestNode, eventually, guests};

/// The guest of WASI 0.2; `limits` are lines of its manifest's `[limits]`.
pub async fn publish(node: &TestNode, app: &str, limits: &str) {
    publish_guest(node, "hostile", app, limits).await;
}

/// The guest of WASI 0.3.
pub async fn publish_p3(node: &TestNode, app: &str, limits: &str) {
    publish_guest(node, "hostile-p3", app, limits).await;
}

async fn publish_guest(node: &TestNode, guest: &str, app: &str, limits: &str) {
    let component = guests::component(&guests::guest(guest));
    let bundle = Bundle::of(app).component(component).manifest("health = \"/ok\"\n[limits]").manifest(limits);
    node.publish_wasm(app, bundle.zip()).await;
}

/// Waits until a metric of an app has this value.
pub async fn metric_reaches(node: &TestNode, metric: &str, app: &str, value: f64) {
    eventually(&format!("{metric} of {app} at {value}"), async || {
        (self::metric(node, metric, app).await == Some(value)).then_some(())
    })
    .await;
}

/// A metric of one app, the sum over its other labels.
pub async fn metric(node: &TestNode, metric: &str, app: &str) -> Option<f64> {
    sum(node, metric, &format!("app=\"{app}\"")).await
}

/// Components compiled since the node was started.
pub async fn compilations(node: &TestNode) -> f64 {
    sum(node, "typecase_compile_duration_seconds_count", "").await.unwrap_or_default()
}

async fn sum(node: &TestNode, metric: &str, label: &str) -> Option<f64> {
    let text = node.admin_get("/metrics").await.expect(200).text();
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(metric)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        (labels.starts_with('{') && labels.contains(label)).then(|| value.parse::<f64>().unwrap())
    });
    values.reduce(|sum, value| sum + value)
}

/// Resident memory of the node that no file backs, in MiB.
pub fn anonymous_mb(node: &TestNode) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.process_id())).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("the kernel tells");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("a number") / 1024
}
