//! What a cluster does not do: requests ask neither database nor Redis, and a node with nothing to do asks little,
//! however many apps it has.

use std::time::{Duration, Instant};

use typecase_harness::bundles::Bundle;
use typecase_harness::client::{Connection, get};
use typecase_harness::{Cluster, guests};

use super::publish_first;

const APPS: u32 = 100;

/// Statements and commands of one idle node in a second; most of them are its heartbeats and its timers.
const PER_SECOND_MAX: f64 = 5.0;

/// Long enough for each timer of a few seconds to run several times.
const WATCHED: Duration = Duration::from_secs(8);

#[tokio::test]
async fn requests_to_a_public_app_ask_neither_database_nor_redis() {
    const REQUESTS: u64 = 3_000;
    let cluster = Cluster::builder().nodes(2).start().await;
    publish_first(&cluster).await;
    let bundle = Bundle::of("site").asset("index.html", "a page").component(guests::hello()).zip();
    cluster.nodes[0].api().publish("site", bundle, "").await.expect(200);
    let before = (cluster.mariadb.statements().await, cluster.redis.commands().await);
    let began = Instant::now();
    for node in &cluster.nodes {
        let mut connection = Connection::open(node.apps_address()).await.unwrap();
        for request in 0..REQUESTS / 2 {
            let path = ["/hello/", "/site/", "/site/component"][request as usize % 3];
            connection.send(get(node.apps_address(), path)).await.unwrap().expect(200);
        }
    }
    let statements = cluster.mariadb.statements().await - before.0;
    let commands = cluster.redis.commands().await - before.1;
    let idle = 2.0 * PER_SECOND_MAX * (began.elapsed() + Duration::from_secs(2)).as_secs_f64();
    println!("{statements} statements and {commands} commands during {REQUESTS} requests");
    // As many as without requests, and few enough to show what one in ten requests would have added.
    assert!((statements as f64) < idle.min(REQUESTS as f64 / 10.0), "{statements} statements");
    assert!((commands as f64) < idle.min(REQUESTS as f64 / 10.0), "{commands} commands");
}

#[tokio::test]
async fn an_idle_node_asks_little_however_many_apps_it_has() {
    let cluster = Cluster::builder().nodes(1).start().await;
    let node = &cluster.nodes[0];
    let (few, _) = per_second(&cluster).await;
    for app in 0..APPS {
        let name = format!("app-{app}");
        let bundle = Bundle::of(&name).asset("index.html", name.clone()).zip();
        node.api().publish(&name, bundle, "?wait=0").await.expect(202);
    }
    for app in 0..APPS {
        cluster.all_answer(&format!("/app-{app}/"), &format!("app-{app}")).await;
    }
    // Receipts are written after that.
    let published = node.publish_wasm("last", guests::hello_saying(1)).await;
    assert_eq!(published["state"], "active");
    let (statements, commands) = per_second(&cluster).await;
    println!(
        "statements a second: {few:.1} without apps, {statements:.1} with {APPS}; commands: {commands:.1}"
    );
    assert!(statements < PER_SECOND_MAX, "{statements} statements a second");
    assert!(commands < PER_SECOND_MAX, "{commands} commands a second");
}

/// What the database and Redis are asked while nobody does anything.
async fn per_second(cluster: &Cluster) -> (f64, f64) {
    let before = (cluster.mariadb.statements().await, cluster.redis.commands().await);
    let began = Instant::now();
    tokio::time::sleep(WATCHED).await;
    let statements = cluster.mariadb.statements().await - before.0;
    let commands = cluster.redis.commands().await - before.1;
    let seconds = began.elapsed().as_secs_f64();
    (statements as f64 / seconds, commands as f64 / seconds)
}
