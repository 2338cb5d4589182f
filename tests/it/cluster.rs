//! Several nodes as one system: what breaks, breaks for real, and nobody who uses an app notices.
//!
//! Databases, Redis, object stores and balancers are real ones; see the harness. Each file is one thing that
//! may happen to a cluster.

mod announcements;
mod clocks;
mod database;
mod drain;
mod front;
mod joining;
mod logs;
mod publishes;
mod quiet;
mod races;
mod redis;
mod stops;
mod storage;

use std::time::Duration;

use serde_json::Value;
use typecase_harness::load::{Load, RunningLoad};
use typecase_harness::{Answer, Cluster, TestNode, eventually, guests};

/// The release that every node serves from the start, where a test needs one.
const FIRST: u32 = 1;

/// How long a service that is stopped stays away: by then whoever retries waits as long as it ever does.
const OUTAGE: Duration = Duration::from_secs(60);

/// Publishes hello and waits until every node serves it.
async fn publish_first(cluster: &Cluster) {
    cluster.nodes[0].publish_wasm("hello", guests::hello_saying(FIRST)).await;
    cluster.all_answer("/hello/", &guests::greeting(FIRST)).await;
}

/// Light load on one node directly, without a balancer that could make good for it.
fn load_on(node: &TestNode) -> RunningLoad {
    Load::on(node.apps_address(), "/hello/").keep_alive(1).fresh(1).posts(1).start()
}

/// Light load on each node.
fn load_on_all(cluster: &Cluster) -> Vec<RunningLoad> {
    cluster.nodes.iter().map(load_on).collect()
}

/// Every request to every node was answered; on no node an older release came after a newer one.
async fn stop_all(loads: Vec<RunningLoad>) {
    for (node, load) in loads.into_iter().enumerate() {
        load.more(5).await;
        let history = load.stop().await.of_node(node);
        history.assert_no_failures(30);
        history.assert_never_backwards_on_a_node();
    }
}

/// What this node's table of nodes says about another one.
async fn node_seen_by(node: &TestNode, name: &str) -> Value {
    let document = node.api().get("/api/v1/nodes").await.expect(200).json();
    let nodes = document["nodes"].as_array().unwrap();
    nodes.iter().find(|node| node["name"] == name).unwrap_or_else(|| panic!("no {name}: {document}")).clone()
}

/// Waits until a node's row says that it suffers from something with these words; nothing for no words.
async fn suffers_from(cluster: &Cluster, number: usize, words: &str) {
    let name = format!("node-{number}");
    eventually(&format!("{name} suffers from {words:?}"), async || {
        let row = node_seen_by(&cluster.nodes[number], &name).await;
        let problems = row["problems"].as_str().unwrap();
        (problems.contains(words) && problems.is_empty() == words.is_empty()).then_some(())
    })
    .await;
}

/// The states in which a publish found the nodes, by name.
async fn receipt_states(cluster: &Cluster, answer: &Value) -> Vec<(String, String)> {
    let document = cluster.nodes[0].api().get("/api/v1/nodes").await.expect(200).json();
    let nodes = document["nodes"].as_array().unwrap();
    let name = |id: &Value| {
        let node = nodes.iter().find(|node| node["id"] == *id);
        node.map_or(String::new(), |node| node["name"].as_str().unwrap().to_owned())
    };
    let receipts = answer["receipts"].as_array().unwrap().iter();
    let mut states: Vec<_> = receipts
        .map(|receipt| (name(&receipt["node"]), receipt["state"].as_str().unwrap().to_owned()))
        .collect();
    states.sort();
    states
}

/// A refusal because something is away: told at once what it is, and when to come back.
#[track_caller]
fn expect_unavailable(answer: Answer) -> Value {
    let seconds: u64 =
        answer.header("retry-after").parse().unwrap_or_else(|_| panic!("no Retry-After: {answer:?}"));
    assert!((1..=60).contains(&seconds), "{answer:?}");
    answer.expect_problem(503, "dependency-unavailable")
}

/// The newest release of hello, once nothing is being rolled out any more.
async fn settled(node: &TestNode) -> Value {
    eventually("no rollout of hello is under way", async || {
        // The node may still be looking for its database.
        let app = node.api().get("/api/v1/apps/hello").await;
        let releases = node.api().get("/api/v1/apps/hello/releases").await;
        if (app.status, releases.status) != (200, 200) {
            return None;
        }
        let newest = releases.json()["releases"][0].clone();
        (app.json()["candidate"].is_null() && newest["state"] != "preparing").then_some(newest)
    })
    .await
}
