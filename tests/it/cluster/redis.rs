//! Redis stops, hangs and comes back empty: apps are served, publishes converge by the timer, and the nodes say what
//! they miss.

use std::time::Instant;

use typecase_harness::{Cluster, Service, eventually, guests};

use super::{FIRST, OUTAGE, load_on_all, node_seen_by, publish_first, settled, stop_all, suffers_from};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    /// The server is gone, and everything that it held with it.
    Stopped,
    /// It accepts connections and never answers.
    Hung,
}

async fn without_redis(outage: Outage) {
    let mut cluster = Cluster::builder().start().await;
    publish_first(&cluster).await;
    let loads = load_on_all(&cluster);
    let began = Instant::now();
    match outage {
        Outage::Stopped => cluster.redis.stop().await,
        Outage::Hung => cluster.redis.pause().await,
    }
    for (number, release) in [(1, FIRST + 1), (2, FIRST + 2)] {
        cluster.nodes[number].publish_wasm("hello", guests::hello_saying(release)).await;
        cluster.all_answer("/hello/", &guests::greeting(release)).await;
    }
    cluster.nodes[0].cli(["rollback", "hello", "--json"]).await.expect(0);
    cluster.all_answer("/hello/", &guests::greeting(FIRST + 1)).await;
    for (number, node) in cluster.nodes.iter().enumerate() {
        suffers_from(&cluster, number, "Redis").await;
        // They serve, so balancers are to use them.
        node.admin_get("/readyz").await.expect(200);
    }
    let shown = cluster.nodes[0].cli(["nodes"]).await.expect(0).stdout;
    assert_eq!(shown.matches("degraded").count(), 3, "{shown}");
    for load in loads {
        load.more(5).await;
        load.stop().await.assert_no_failures(30);
    }

    let loads = load_on_all(&cluster);
    // A node that starts meanwhile misses Redis no more than the others.
    cluster.add_node().await;
    assert_eq!(
        cluster.nodes[3].get("/hello/").await.expect(200).text().trim_end(),
        guests::greeting(FIRST + 1)
    );

    if outage == Outage::Stopped {
        tokio::time::sleep_until((began + OUTAGE).into()).await;
    }
    match outage {
        Outage::Stopped => cluster.redis.start_again().await,
        Outage::Hung => cluster.redis.resume(),
    }
    for number in 0..cluster.nodes.len() {
        suffers_from(&cluster, number, "").await;
    }
    cluster.nodes[3].publish_wasm("hello", guests::hello_saying(FIRST + 3)).await;
    cluster.all_answer("/hello/", &guests::greeting(FIRST + 3)).await;
    assert_eq!(settled(&cluster.nodes[0]).await["state"], "active");
    stop_all(loads).await;
}

#[tokio::test]
async fn redis_is_stopped_and_comes_back_empty() {
    without_redis(Outage::Stopped).await;
}

#[tokio::test]
async fn redis_hangs() {
    without_redis(Outage::Hung).await;
}

#[tokio::test]
async fn one_node_is_cut_off_from_redis() {
    let mut cluster = Cluster::builder().wire(1, Service::Redis).start().await;
    publish_first(&cluster).await;
    let loads = load_on_all(&cluster);
    cluster.cut_off(1, Service::Redis).await;
    suffers_from(&cluster, 1, "Redis").await;
    for number in [0, 2] {
        let row = node_seen_by(&cluster.nodes[0], &format!("node-{number}")).await;
        assert_eq!(row["problems"], "", "{row}");
    }
    for (number, release) in [(0, FIRST + 1), (1, FIRST + 2)] {
        cluster.nodes[number].publish_wasm("hello", guests::hello_saying(release)).await;
        cluster.all_answer("/hello/", &guests::greeting(release)).await;
    }
    cluster.reconnect(1, Service::Redis).await;
    suffers_from(&cluster, 1, "").await;
    eventually("the node hears of changes again", async || {
        let wire = cluster.wire(1, Service::Redis);
        let heard = wire.announcements();
        let release = FIRST + 3;
        cluster.nodes[0].publish_wasm("hello", guests::hello_saying(release)).await;
        (wire.announcements() > heard).then_some(())
    })
    .await;
    stop_all(loads).await;
}
