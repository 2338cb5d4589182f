//! Settings on several nodes: they hold everywhere, with Redis or without, and every node says so.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use typecase_harness::cluster::{Cluster, Service, Storage};
use typecase_harness::{TestNode, eventually, guests};

use super::{effective, patch, run, set};

async fn grace_ms_everywhere(cluster: &Cluster, grace_ms: u64) {
    for node in &cluster.nodes {
        eventually("the setting on every node", async || {
            // A node may still be looking for its database.
            let shown = node.api().get("/api/v1/settings").await.json();
            let all = shown["effective"].as_array()?.iter();
            let mut found = all.filter(|effective| effective["key"] == "drain.grace_ms");
            (found.next()?["value"] == grace_ms).then_some(())
        })
        .await;
    }
}

fn states(answer: &Value) -> Vec<(&str, &str)> {
    let receipts = answer["receipts"].as_array().unwrap().iter();
    receipts.map(|receipt| (receipt["name"].as_str().unwrap(), receipt["state"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_change_on_any_node_holds_on_all_of_them() {
    let mut cluster = Cluster::builder().start().await;
    for (number, grace_ms) in [(0, 100), (1, 200), (2, 300)] {
        let node = &cluster.nodes[number];
        let changed = set(node, &[&format!("drain.grace_ms={grace_ms}")]).await;
        assert_eq!(changed["converged"], true, "{changed}");
        let expected = [("node-0", "applied"), ("node-1", "applied"), ("node-2", "applied")];
        assert_eq!(states(&changed), expected);
        // The answer came when it held everywhere: nothing to wait for.
        for node in &cluster.nodes {
            assert_eq!(effective(node, "drain.grace_ms").await, (json!(grace_ms), json!("settings")));
        }
    }
    // Nobody waits for a node that is lost; it has the settings when it is ready again.
    cluster.nodes[2].kill9();
    let changed = set(&cluster.nodes[0], &["drain.grace_ms=400"]).await;
    assert_eq!(
        (states(&changed)[2], &changed["converged"]),
        (("node-2", "pending"), &json!(true)),
        "{changed}"
    );
    cluster.nodes[2].restart().await;
    assert_eq!(effective(&cluster.nodes[2], "drain.grace_ms").await.0, 400);
    let back = run(&cluster.nodes[2], &["settings", "rollback", "1", "--json"]).await;
    assert_eq!((&back["generation"], &back["converged"]), (&json!(5), &json!(true)));
    for node in &cluster.nodes {
        assert_eq!(effective(node, "drain.grace_ms").await.0, 100);
    }
}

#[tokio::test]
async fn a_node_that_does_not_follow_is_named() {
    let cluster = Cluster::builder().nodes(2).start().await;
    cluster.nodes[1].pause().await;
    let change = ["settings", "set", "drain.grace_ms=100", "--timeout", "1"];
    let missed = cluster.nodes[0].cli(change).await.expect(5);
    for text in ["generation 1 is stored", "node-1: has not applied it yet", "typecase settings receipts"] {
        assert!(missed.stderr.contains(text), "{missed:?}");
    }
    cluster.nodes[1].resume();
    eventually("the node follows", async || {
        let receipts = cluster.nodes[0].cli(["settings", "receipts"]).await;
        (receipts.code == 0 && receipts.stdout.contains("node-1: applied")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_redis_the_timer_brings_a_change() {
    let mut cluster = Cluster::builder().start().await;
    cluster.redis.stop().await;
    let changed = set(&cluster.nodes[1], &["drain.grace_ms=100"]).await;
    assert_eq!(changed["converged"], true, "{changed}");
    grace_ms_everywhere(&cluster, 100).await;
    cluster.redis.start_again().await;
}

#[tokio::test]
async fn without_the_database_what_held_holds_and_a_change_is_refused_at_once() {
    let mut cluster = Cluster::builder().nodes(2).start().await;
    set(&cluster.nodes[0], &["ingress.trusted_proxies=127.0.0.1"]).await;
    cluster.mariadb.stop().await;
    let body = Bytes::from(json!({ "changes": { "drain.grace_ms": 1 } }).to_string());
    let refused = cluster.nodes[1].api().send(Method::PATCH, "/api/v1/settings", body).await;
    refused.expect_problem(503, "dependency-unavailable");
    cluster.mariadb.start_again().await;
    let node = &cluster.nodes[1];
    eventually("the database's return", async || {
        let changed = patch(node, &json!({ "changes": { "drain.grace_ms": 2 } })).await;
        (changed.status == 200).then_some(())
    })
    .await;
    grace_ms_everywhere(&cluster, 2).await;
    for node in &cluster.nodes {
        assert_eq!(effective(node, "ingress.trusted_proxies").await.0, json!(["127.0.0.1"]));
    }
}

#[tokio::test]
async fn of_two_changes_on_two_nodes_at_once_one_wins_everywhere() {
    let cluster = Cluster::builder().start().await;
    for expected in 0..100_u64 {
        let race = |node: &'static str, grace_ms: u64| {
            let node: &TestNode = &cluster.nodes[usize::from(node == "second")];
            let body = json!({ "expected": expected, "changes": { "drain.grace_ms": grace_ms } });
            async move { (patch(node, &body).await, grace_ms) }
        };
        let (one, two) = tokio::join!(race("first", 2 * expected + 1), race("second", 2 * expected + 2));
        let (won, lost) = if one.0.status == 200 { (one, two) } else { (two, one) };
        won.0.expect(200);
        let problem = lost.0.expect_problem(409, "generation-conflict");
        assert_eq!(problem["found_generation"], expected + 1);
        if expected % 20 == 19 {
            grace_ms_everywhere(&cluster, won.1).await;
        }
    }
    let newest = cluster.nodes[2].api().get("/api/v1/settings").await.expect(200).json();
    assert_eq!(newest["generation"], 100);
}

#[tokio::test]
async fn with_a_share_a_node_that_cannot_prepare_is_left_behind_and_catches_up() {
    let mut cluster = Cluster::builder().storage(Storage::S3).wire(2, Service::Storage).start().await;
    cluster.nodes[0].publish_wasm("hello", guests::hello_saying(1)).await;
    cluster.all_answer("/hello/", &guests::greeting(1)).await;
    cluster.cut_off(2, Service::Storage).await;
    // All of them, unless the operator says otherwise.
    let refused = cluster.nodes[0].api().publish("hello", guests::hello_saying(2), "").await;
    let problem = refused.expect_problem(422, "release-failed");
    assert!(problem["detail"].as_str().unwrap().contains("node-2"), "{problem}");

    set(&cluster.nodes[1], &["rollout.share_percent=60"]).await;
    let published = cluster.nodes[0].publish_wasm("hello", guests::hello_saying(3)).await;
    let behind = cluster.nodes[2].api().get("/api/v1/nodes").await.expect(200).json();
    let id = behind["nodes"].as_array().unwrap().iter().find(|node| node["name"] == "node-2").unwrap()["id"]
        .clone();
    let receipts = published["receipts"].as_array().unwrap();
    let of_the_one = receipts.iter().find(|receipt| receipt["node"] == id).unwrap();
    assert_eq!(of_the_one["state"], "failed", "{published}");
    for (number, release) in [(0, 3), (1, 3), (2, 1)] {
        let answer = cluster.nodes[number].get("/hello/").await.expect(200).text();
        assert_eq!(answer.trim_end(), guests::greeting(release), "node {number}");
    }
    cluster.reconnect(2, Service::Storage).await;
    cluster.all_answer("/hello/", &guests::greeting(3)).await;
}
