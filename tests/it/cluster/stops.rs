//! Nodes that end under load, by accident and on purpose, behind balancers that nobody tells.

use std::fs;
use std::time::Instant;

use typecase_harness::load::{Kind, Load, Record};
use typecase_harness::{Cluster, TestNode, eventually, guests};

use super::front::{Balancer, Front};
use super::{FIRST, node_seen_by, publish_first, settled};

async fn killed_under_load(balancer: Balancer) {
    let mut cluster = Cluster::builder().start().await;
    publish_first(&cluster).await;
    let front = Front::start(balancer, &cluster).await;
    let load = Load::on(front.address(), "/hello/").keep_alive(3).fresh(2).posts(2).start();
    load.more(50).await;

    // A rollout that the killed node takes part in.
    let (api, release) = (cluster.nodes[0].api(), FIRST + 1);
    let publishing = tokio::spawn({
        let api = api.clone();
        async move { api.publish("hello", guests::hello_saying(release), "").await }
    });
    eventually("the rollout begins", async || api.app("hello").await["candidate"].as_u64()).await;
    let before = Instant::now();
    cluster.nodes[2].kill9();
    let after = Instant::now();

    let published = publishing.await.unwrap().expect(200).json();
    assert_eq!(published["state"], "active", "{published}");
    eventually("the killed node is shown as lost", async || {
        (node_seen_by(&cluster.nodes[0], "node-2").await["health"] == "lost").then_some(())
    })
    .await;
    load.more(50).await;
    // It comes back, and so do its clients.
    cluster.nodes[2].restart().await;
    is_used_again(&cluster.nodes[2]).await;
    assert_eq!(cluster.nodes[2].get("/hello/").await.text().trim_end(), guests::greeting(release));
    load.more(50).await;

    let mut history = load.stop().await;
    let may_fail =
        |record: &Record| record.kind == Kind::Post && record.started <= after && record.ended >= before;
    history.assert_failures_only(500, "POSTs that were on their way to the killed node", may_fail);
    let failed = history.failures().len();
    assert!(failed <= 2, "no more POSTs than there were clients: {failed}");
    history.find_nodes(&cluster.nodes).await;
    history.assert_never_backwards_on_a_node();
    history.assert_serves_from(Instant::now(), release);
    drop(cluster);
    drop(front);
}

#[tokio::test]
async fn a_node_is_killed_behind_nginx() {
    killed_under_load(Balancer::Nginx).await;
}

#[tokio::test]
async fn a_node_is_killed_behind_haproxy() {
    killed_under_load(Balancer::Haproxy).await;
}

async fn rolling_restart(balancer: Balancer, nodes: usize) {
    // What a node does unless it is told something else.
    let mut cluster = Cluster::builder().nodes(nodes).config("drain", "delay_ms", 1_000).start().await;
    publish_first(&cluster).await;
    cluster.nodes[0].publish_wasm("stream", guests::stream_saying(FIRST)).await;
    let front = Front::start(balancer, &cluster).await;
    // The streams outlast the drain: each is finished by the node that began it.
    let streams = "/stream/events?count=60&interval_ms=50";
    let load =
        Load::on(front.address(), "/hello/").keep_alive(3).fresh(2).posts(3).streams(2, streams).start();
    load.more(2).await;
    for number in 0..cluster.nodes.len() {
        let status = cluster.nodes[number].terminate().await;
        assert_eq!(status.code(), Some(0), "{}", cluster.nodes[number].log());
        // The next one as soon as this one is ready: the balancer may not know of that yet.
        cluster.nodes[number].restart().await;
    }
    load.more(2).await;
    let history = load.stop().await;
    history.assert_no_failures(1_000);
    assert!(history.count(Kind::Post) > 200 && history.count(Kind::Stream) > 6);
    let newest = settled(&cluster.nodes[0]).await;
    assert_eq!((newest["state"].as_str(), newest["number"].as_u64()), (Some("active"), Some(1)), "{newest}");
    drop(cluster);
    drop(front);
}

#[tokio::test]
async fn all_nodes_are_restarted_behind_nginx() {
    rolling_restart(Balancer::Nginx, 3).await;
}

#[tokio::test]
async fn all_nodes_are_restarted_behind_haproxy() {
    rolling_restart(Balancer::Haproxy, 3).await;
}

/// While one restarts, there is only the one that has just been restarted.
#[tokio::test]
async fn both_of_two_nodes_are_restarted_behind_nginx() {
    rolling_restart(Balancer::Nginx, 2).await;
}

#[tokio::test]
async fn both_of_two_nodes_are_restarted_behind_haproxy() {
    rolling_restart(Balancer::Haproxy, 2).await;
}

/// Waits until the balancer sends requests to this node again.
async fn is_used_again(node: &TestNode) {
    let log = node.data().join("log/access.log");
    let lines = || fs::read_to_string(&log).unwrap_or_default().lines().count();
    let before = lines();
    eventually("requests through the balancer", async || (lines() > before).then_some(())).await;
}
