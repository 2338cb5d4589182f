//! The database stops, hangs and loses its connections: apps are served as ever, whoever asks for the database is told
//! at once, and the nodes find it again by themselves.

use std::time::{Duration, Instant};

use serde_json::json;
use typecase_harness::services::Link;
use typecase_harness::{Cluster, Service, TestNode, eventually, guests};

use super::{FIRST, OUTAGE, expect_unavailable, load_on_all, node_seen_by, publish_first, settled, stop_all};

/// How long an answer may take that says that the database is away.
const AT_ONCE: Duration = Duration::from_secs(2);

/// The first call may be the one that finds out; of several calls on a busy machine one is not held up.
const TRIES: u32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    Stopped,
    Killed,
    /// It accepts connections and never answers.
    Hung,
}

async fn without_the_database(outage: Outage) {
    let mut cluster = Cluster::builder().start().await;
    publish_first(&cluster).await;
    let loads = load_on_all(&cluster);
    let began = Instant::now();
    match outage {
        Outage::Stopped => cluster.mariadb.stop().await,
        Outage::Killed => cluster.mariadb.kill9(),
        Outage::Hung => cluster.mariadb.pause().await,
    }
    for node in &cluster.nodes {
        assert_is_told_at_once(node).await;
        let refused = node.api().publish("hello", guests::hello_saying(FIRST + 1), "").await;
        expect_unavailable(refused);
        let refused = node.api().post("/api/v1/apps/hello/activate", &json!({ "release": 1 })).await;
        expect_unavailable(refused);
        let told = node.cli(["nodes"]).await.expect(1);
        assert!(told.stderr.contains("database"), "{told:?}");
        // Balancers are to go on: what they are there for is served.
        node.admin_get("/readyz").await.expect(200);
        assert_eq!(node.get("/hello/").await.expect(200).text().trim_end(), guests::greeting(FIRST));
    }
    for load in &loads {
        load.more(20).await;
    }
    if outage == Outage::Stopped {
        tokio::time::sleep_until((began + OUTAGE).into()).await;
    }
    match outage {
        Outage::Stopped | Outage::Killed => cluster.mariadb.start_again().await,
        Outage::Hung => cluster.mariadb.resume(),
    }
    for node in &cluster.nodes {
        eventually("an answer from the database", async || {
            (node.api().get("/api/v1/apps").await.status == 200).then_some(())
        })
        .await;
    }
    // What was refused has left nothing behind, and works now.
    assert_eq!(cluster.nodes[0].api().releases("hello").await.len(), 1);
    for (number, release) in [(1, FIRST + 1), (2, FIRST + 2)] {
        let published = eventually("the publish is repeated", async || {
            let answer =
                cluster.nodes[number].api().publish("hello", guests::hello_saying(release), "").await;
            (answer.status == 200).then(|| answer.json())
        })
        .await;
        assert_eq!((&published["state"], &published["release"]), (&json!("active"), &json!(release)));
        cluster.all_answer("/hello/", &guests::greeting(release)).await;
    }
    stop_all(loads).await;
}

async fn assert_is_told_at_once(node: &TestNode) {
    let mut fastest = Duration::MAX;
    for _ in 0..TRIES {
        let began = Instant::now();
        let problem = expect_unavailable(node.api().get("/api/v1/apps").await);
        fastest = fastest.min(began.elapsed());
        assert!(problem["detail"].as_str().unwrap().contains("database"), "{problem}");
    }
    assert!(fastest < AT_ONCE, "the fastest of {TRIES} refusals took {fastest:?}");
}

#[tokio::test]
async fn the_database_is_stopped() {
    without_the_database(Outage::Stopped).await;
}

#[tokio::test]
async fn the_database_is_killed() {
    without_the_database(Outage::Killed).await;
}

#[tokio::test]
async fn the_database_hangs() {
    without_the_database(Outage::Hung).await;
}

#[tokio::test]
async fn one_node_is_cut_off_from_the_database() {
    let cluster = Cluster::builder().wire(1, Service::Database).start().await;
    publish_first(&cluster).await;
    let loads = load_on_all(&cluster);
    let mut release = FIRST;
    for link in [Link::Refuse, Link::Hang] {
        cluster.wire(1, Service::Database).set(link).await;
        assert_is_told_at_once(&cluster.nodes[1]).await;
        eventually("the others give the node up", async || {
            (node_seen_by(&cluster.nodes[0], "node-1").await["health"] == "lost").then_some(())
        })
        .await;
        // They go on without it, and it serves what it has.
        let before = guests::greeting(release);
        release += 1;
        eventually("the server has let go of what the node was doing", async || {
            let answer = cluster.nodes[2].api().publish("hello", guests::hello_saying(release), "").await;
            (answer.status == 200).then_some(())
        })
        .await;
        for (number, text) in [(0, guests::greeting(release)), (1, before), (2, guests::greeting(release))] {
            assert_eq!(cluster.nodes[number].get("/hello/").await.expect(200).text().trim_end(), text);
        }
        cluster.wire(1, Service::Database).set(Link::Pass).await;
        cluster.all_answer("/hello/", &guests::greeting(release)).await;
        eventually("the node is one of them again", async || {
            (node_seen_by(&cluster.nodes[0], "node-1").await["health"] == "live").then_some(())
        })
        .await;
    }
    stop_all(loads).await;
}

/// A fail-over in the middle of whatever a publish does, again and again.
#[tokio::test]
async fn connections_are_cut_during_publishes() {
    const PUBLISHES: u32 = 20;
    let cluster = Cluster::builder().start().await;
    publish_first(&cluster).await;
    let loads = load_on_all(&cluster);
    let mut told_active = vec![u64::from(FIRST)];
    let mut refused = 0;
    for release in FIRST + 1..=FIRST + PUBLISHES {
        let node = &cluster.nodes[release as usize % cluster.nodes.len()];
        let publishing = tokio::spawn({
            let api = node.api();
            async move { api.publish("hello", guests::hello_saying(release), "").await }
        });
        // At other moments each time: while it is checked, stored, made the candidate, prepared, activated.
        while !publishing.is_finished() {
            tokio::time::sleep(Duration::from_millis(u64::from(release) * 20)).await;
            cluster.mariadb.cut_connections().await;
        }
        let answer = publishing.await.unwrap();
        match answer.status {
            200 => told_active.push(answer.json()["release"].as_u64().unwrap()),
            _ => {
                expect_unavailable(answer);
                refused += 1;
            }
        }
        // Whatever was told: the rollout has ended, or never began.
        settled(node).await;
    }
    println!("{} publishes were told to be active, {refused} to be tried again", told_active.len());

    let releases = cluster.nodes[0].api().releases("hello").await;
    let state_of = |number: u64| {
        let release = releases.iter().find(|release| release["number"] == number);
        release.unwrap_or_else(|| panic!("release {number} is lost: {releases:?}"))["state"].clone()
    };
    let app = cluster.nodes[0].api().app("hello").await;
    let active = app["active"].as_u64().unwrap();
    for number in told_active {
        assert_eq!(state_of(number), if number == active { "active" } else { "retired" });
    }
    // Each rollout that began raised the generation once then and once at its end, and nothing was done twice.
    assert_eq!(app["generation"], 2 * releases.len());
    assert!(releases.iter().all(|release| release["state"] == "retired" || release["number"] == active));
    for node in &cluster.nodes {
        let serves = eventually("the node serves a release", async || Some(node.get("/hello/").await)).await;
        assert_eq!(serves.status, 200);
    }
    let last = cluster.nodes[0].get("/hello/").await.text();
    cluster.all_answer("/hello/", last.trim_end()).await;
    stop_all(loads).await;
}
