//! Clocks of nodes an hour apart change nothing: order comes from generations, ages from the database's clock.

use std::path::{Path, PathBuf};

use typecase_harness::{Cluster, TestNodeBuilder, guests};

use super::{load_on_all, node_seen_by, publish_first, stop_all};

/// What makes a program believe in another time.
fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let libraries = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    libraries.into_iter().find(|library| library.is_file())
}

fn at(node: TestNodeBuilder, library: &Path, offset: &str) -> TestNodeBuilder {
    let node = node.env("LD_PRELOAD", library).env("FAKETIME", offset);
    // Deadlines run on the clock that nobody can set.
    node.env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

#[tokio::test]
async fn clocks_an_hour_apart_change_nothing() {
    let Some(library) = library() else {
        println!("skipped: install the package faketime");
        return;
    };
    let mut cluster = Cluster::builder().nodes(1).start().await;
    for offset in ["+1h", "-1h"] {
        let node = at(cluster.next_node().await, &library, offset).start().await;
        cluster.add(node);
    }
    publish_first(&cluster).await;
    let times = times(&cluster).await;
    assert!(times[0] < times[1] && times[2] < times[0], "the clocks differ: {times:?}");
    let loads = load_on_all(&cluster);
    let mut release = super::FIRST;
    for _ in 0..2 {
        for node in &cluster.nodes {
            release += 1;
            node.publish_wasm("hello", guests::hello_saying(release)).await;
            cluster.all_answer("/hello/", &guests::greeting(release)).await;
        }
    }
    for node in &cluster.nodes {
        for name in ["node-0", "node-1", "node-2"] {
            let row = node_seen_by(node, name).await;
            assert_eq!((&row["health"], &row["problems"]), (&"live".into(), &"".into()), "{row}");
        }
        let table = node.cli(["nodes"]).await.expect(0).stdout;
        assert_eq!(table.matches(" live ").count(), 3, "{table}");
    }
    stop_all(loads).await;
    // Back to the release that served before, and from there to the newest one again.
    for (node, serves) in cluster.nodes.iter().zip([release - 1, release, release - 1]) {
        node.cli(["rollback", "hello", "--json"]).await.expect(0);
        cluster.all_answer("/hello/", &guests::greeting(serves)).await;
    }
    // What a killed node leaves behind is noticed whatever time it believed in.
    cluster.nodes[1].restart().await;
    assert_eq!(node_seen_by(&cluster.nodes[2], "node-1").await["health"], "live");
}

/// The time of each node's newest line in its log.
async fn times(cluster: &Cluster) -> Vec<String> {
    let mut times = Vec::new();
    for node in &cluster.nodes {
        times.push(node.log_line(&["\"ready\""]).await["timestamp"].as_str().unwrap().to_owned());
    }
    times
}
