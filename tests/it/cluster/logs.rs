//! The logs of several nodes, asked of one: in one order, live, and with the name of each node that is missing.

use serde_json::Value;
use typecase_harness::bundles::Bundle;
use typecase_harness::{Cluster, eventually, guests};

use super::node_seen_by;
use crate::logs::follow::Follow;

async fn cluster_with_hostile() -> Cluster {
    let cluster = Cluster::builder().start().await;
    let component = guests::component(&guests::guest("hostile"));
    let bundle = Bundle::of("hostile").component(component).manifest("health = \"/ok\"");
    cluster.nodes[0].publish_wasm("hostile", bundle.zip()).await;
    for node in &cluster.nodes {
        eventually("every node serves", async || (node.get("/hostile/ok").await.status == 200).then_some(()))
            .await;
    }
    cluster
}

/// Has each node say something with this marker, and gives back the request's ids.
async fn say_on(cluster: &Cluster, nodes: &[usize], marker: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for number in nodes {
        let path = format!("/hostile/stderr-line?{marker}-{number}");
        let answer = cluster.nodes[*number].get(&path).await.expect(200);
        ids.push(answer.header("x-request-id").to_owned());
    }
    ids
}

/// Messages and names of nodes, in order.
fn told(lines: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    lines.iter().map(|line| (text(&line["message"]), text(&line["node.name"]))).collect()
}

/// As [`told`] has what a node said.
fn said(marker: &str, node: usize) -> (String, String) {
    (format!("marker-{marker}-{node}"), format!("node-{node}"))
}

#[tokio::test]
async fn one_node_tells_what_all_have_logged() {
    let cluster = cluster_with_hostile().await;
    let ids = say_on(&cluster, &[0, 1, 2, 1, 0], "first").await;
    for asked in &cluster.nodes {
        asked.app_entry("hostile", &["marker-first-0"]).await;
        let log = asked.api().log("hostile", "?level=warn").await;
        assert_eq!(told(&log), [0, 1, 2, 1, 0].map(|n| said("first", n)));
        assert_eq!(asked.api().log("hostile", "?level=warn&tail=2").await, log[3..]);
        assert_eq!(asked.api().log("hostile", "?level=warn&node=node-1").await.len(), 2);
    }
    // A crash on one node is found from another.
    let id = &ids[2];
    let shown = cluster.nodes[0].cli(["logs", "hostile", "--request", id]).await.expect(0).stdout;
    assert!(shown.trim_end().ends_with("marker-first-2") && shown.lines().count() == 1, "{shown}");
    // What one node asks another is signed for that question to that node; a token of a viewer is no such thing.
    let anybody = cluster.nodes[0].api().with_token(None);
    anybody.get("/api/v1/apps/hostile/logs?scope=node&tail=1").await.expect_problem(401, "token-invalid");
    let log = cluster.nodes[0].log() + &cluster.nodes[1].log();
    assert!(!log.contains("a secret for tests"));
}

#[tokio::test]
async fn a_node_that_hangs_is_named_and_holds_up_nobody() {
    let cluster = cluster_with_hostile().await;
    say_on(&cluster, &[0, 1, 2], "before").await;
    let asked = &cluster.nodes[0];
    let mut follow = Follow::open(asked, "hostile", "&level=warn").await;
    let past = follow.until(&["\"live\""]).await;
    assert_eq!(past.len(), 4, "{past:#?}");
    say_on(&cluster, &[2], "live").await;
    follow.until(&["marker-live-2", "node-2"]).await;

    cluster.nodes[2].pause().await;
    // At first nobody knows, and it is waited for within bounds; later the table of nodes says so.
    for round in 0..2 {
        let log = asked.api().log("hostile", "?level=warn").await;
        let (entries, notices): (Vec<Value>, Vec<Value>) =
            log.into_iter().partition(|line| line["notice"].is_null());
        assert!(told(&entries).contains(&said("before", 1)), "{round}: {entries:#?}");
        assert_eq!(notices.len(), 1, "{round}: {notices:#?}");
        assert_eq!(
            (&notices[0]["notice"], &notices[0]["node.name"]),
            (&"node-missing".into(), &"node-2".into())
        );
        eventually("the node is lost", async || {
            (node_seen_by(asked, "node-2").await["health"] == "lost").then_some(())
        })
        .await;
    }
    let shown = asked.cli(["logs", "hostile"]).await.expect(0);
    assert!(shown.stderr.contains("note: node-2") && shown.stdout.contains("marker-before-1"), "{shown:?}");
    follow.until(&["node-missing", "node-2"]).await;
    say_on(&cluster, &[0, 1], "meanwhile").await;
    follow.until(&["marker-meanwhile-0"]).await;

    cluster.nodes[2].resume();
    eventually("the node is back", async || {
        (node_seen_by(asked, "node-2").await["health"] == "live").then_some(())
    })
    .await;
    say_on(&cluster, &[2], "after").await;
    let lines = follow.until(&["marker-after-2", "node-2"]).await;
    assert!(lines.iter().any(|line| line["notice"] == "node-back"), "{lines:#?}");
    // What it had told before is not told again.
    assert!(!lines.iter().any(|line| line["message"] == "marker-live-2"), "{lines:#?}");
    assert_eq!(asked.api().log("hostile", "?level=warn").await.len(), 7);
}

#[tokio::test]
async fn a_node_that_is_gone_is_named_where_it_took_part() {
    let mut cluster = cluster_with_hostile().await;
    say_on(&cluster, &[0, 1, 2], "before").await;
    cluster.nodes[2].terminate().await;
    let asked = &cluster.nodes[0];
    let log = asked.api().log("hostile", "?level=warn").await;
    assert_eq!(told(&log[..2]), [said("before", 0), said("before", 1)]);
    assert_eq!((log.len(), &log[2]["notice"]), (3, &"node-missing".into()));
    // It comes back with what it had.
    cluster.nodes[2].restart().await;
    let log = cluster.nodes[1].api().log("hostile", "?level=warn").await;
    assert_eq!(log.len(), 3, "{log:#?}");
    assert!(told(&log).contains(&said("before", 2)));
}

/// Without the database nobody knows the other nodes; a node still tells what it has itself.
#[tokio::test]
async fn an_outage_of_the_database_is_no_reason_to_be_silent() {
    let mut cluster = cluster_with_hostile().await;
    say_on(&cluster, &[0, 1], "before").await;
    let mut follow = Follow::open(&cluster.nodes[0], "hostile", "&level=warn").await;
    follow.until(&["\"live\""]).await;
    cluster.mariadb.stop().await;
    for round in 0..3 {
        say_on(&cluster, &[0, 1], &format!("meanwhile-{round}")).await;
        // Streams that were open go on.
        let lines = follow.until(&[&format!("marker-meanwhile-{round}-1")]).await;
        assert!(lines.iter().all(|line| line["notice"].is_null()), "{lines:#?}");
    }
}
