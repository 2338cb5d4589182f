//! `typecase nodes drain` and `resume`: balancers leave a node alone while it serves everything, until it is taken back.

use std::time::Instant;

use typecase_harness::load::{Kind, Load, Record};
use typecase_harness::{Cluster, TestNode, eventually, guests};

use super::front::{Balancer, Front};
use super::{FIRST, node_seen_by, publish_first};

async fn readiness(node: &TestNode, status: u16) {
    eventually(&format!("readiness {status}"), async || {
        (node.admin_get("/readyz").await.status == status).then_some(())
    })
    .await;
    // What balancers ask.
    assert_eq!(node.get("/.well-known/typecase/health").await.status, status);
}

#[tokio::test]
async fn a_drained_node_serves_takes_part_and_stays_drained() {
    let mut cluster = Cluster::builder().start().await;
    publish_first(&cluster).await;
    // By name, asked of another node.
    cluster.nodes[0].cli(["nodes", "drain", "node-1"]).await.expect(0);
    readiness(&cluster.nodes[1], 503).await;
    let shown = cluster.nodes[2].cli(["nodes"]).await.expect(0).stdout;
    let line = shown.lines().find(|line| line.starts_with("node-1 ")).unwrap();
    assert!(line.contains("drained"), "{shown}");
    for number in [0, 2] {
        readiness(&cluster.nodes[number], 200).await;
    }
    assert_eq!(cluster.nodes[1].get("/hello/").await.expect(200).text().trim_end(), guests::greeting(FIRST));
    // It goes on with the others.
    let published = cluster.nodes[1].publish_wasm("hello", guests::hello_saying(FIRST + 1)).await;
    assert_eq!(published["receipts"].as_array().unwrap().len(), 3, "{published}");
    cluster.all_answer("/hello/", &guests::greeting(FIRST + 1)).await;

    // A restart does not take the operator's word back, not even for a moment.
    cluster.nodes[1].restart_drained().await;
    cluster.nodes[1].admin_get("/readyz").await.expect(503);
    let row = node_seen_by(&cluster.nodes[0], "node-1").await;
    assert_eq!((&row["draining"], &row["health"]), (&true.into(), &"live".into()));
    assert_eq!(
        cluster.nodes[1].get("/hello/").await.expect(200).text().trim_end(),
        guests::greeting(FIRST + 1)
    );
    readiness(&cluster.nodes[1], 503).await;

    // By id, asked of the node itself.
    let id = row["id"].as_str().unwrap();
    cluster.nodes[1].cli(["nodes", "resume", id]).await.expect(0);
    readiness(&cluster.nodes[1], 200).await;
    let unknown = cluster.nodes[0].cli(["nodes", "drain", "node-9"]).await.expect(1);
    assert!(unknown.stderr.contains("node-9"), "{unknown:?}");
}

async fn drained_behind(balancer: Balancer) {
    let cluster = Cluster::builder().start().await;
    publish_first(&cluster).await;
    let mut front = Front::start(balancer, &cluster).await;
    let load = Load::on(front.address(), "/hello/").keep_alive(2).fresh(2).posts(2).start();
    load.more(30).await;
    let log = cluster.nodes[1].data().join("log/access.log");
    let served = || {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        log.lines().filter(|line| line.contains("\"app.name\":\"hello\"")).count()
    };
    eventually("the balancer uses the node", async || (served() > 0).then_some(())).await;

    cluster.nodes[0].cli(["nodes", "drain", "node-1"]).await.expect(0);
    readiness(&cluster.nodes[1], 503).await;
    let mut reloads = Vec::new();
    if balancer == Balancer::Nginx {
        // It does not look; what it is told says that the node is down.
        reloads.push(reload(&mut front, &cluster).await);
    }
    eventually("the balancer leaves the node alone", async || {
        // Twice what the node takes to write its log.
        let before = served();
        load.more(500).await;
        (served() == before).then_some(())
    })
    .await;
    cluster.nodes[0].cli(["nodes", "resume", "node-1"]).await.expect(0);
    readiness(&cluster.nodes[1], 200).await;
    if balancer == Balancer::Nginx {
        reloads.push(reload(&mut front, &cluster).await);
    }
    let before = served();
    eventually("the balancer comes back to it", async || (served() > before).then_some(())).await;
    load.more(30).await;
    let history = load.stop().await;
    let opened = |connection: u64| {
        let mut of_it = history.records.iter().filter(|record| record.connection == connection);
        of_it.next().map(|record| record.started)
    };
    let given_up = |record: &Record| {
        let by = |(began, ended): &(Instant, Instant)| {
            record.ended >= *began && opened(record.connection).is_some_and(|opened| opened <= *ended)
        };
        record.kind != Kind::Fresh && reloads.iter().any(by)
    };
    history.assert_failures_only(
        300,
        "on connections that nginx gave up for its new configuration",
        given_up,
    );
    drop(cluster);
    drop(front);
}

/// When it began, and when it was done.
async fn reload(front: &mut Front, cluster: &Cluster) -> (Instant, Instant) {
    let began = Instant::now();
    front.reload(cluster).await;
    (began, Instant::now())
}

#[tokio::test]
async fn nginx_leaves_a_drained_node_alone_and_loses_nothing() {
    drained_behind(Balancer::Nginx).await;
}

#[tokio::test]
async fn haproxy_leaves_a_drained_node_alone_and_loses_nothing() {
    drained_behind(Balancer::Haproxy).await;
}
