//! Joining a cluster: in any order, before its services too; and nodes that do not fit are refused with what to change.

use std::fs;

use typecase_harness::{Cluster, Service, TestNode, eventually, guests};

#[tokio::test]
async fn a_node_with_another_secret_or_another_clusters_storage_is_refused() {
    let mut cluster = Cluster::builder().nodes(1).start().await;
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "another secret, just as long as the one of the cluster\n").unwrap();
    let other = cluster.next_node().await.config("cluster", "secret_file", secret.display().to_string());
    let refused = other.start_to_fail().await.expect(1);
    assert!(refused.stderr.contains("copy the secret file of a node that runs"), "{refused:?}");

    // Another cluster: the same services, a database of its own, and the first one's storage.
    cluster.mariadb.create_database("other").await;
    let other = cluster.next_node().await.config("cluster", "database", cluster.mariadb.url("other"));
    let refused = other.start_to_fail().await.expect(1);
    assert!(refused.stderr.contains("belongs to another cluster"), "{refused:?}");
    assert!(refused.stderr.contains("a folder or prefix of its own"), "{refused:?}");

    let mut url = cluster.mariadb.url("typecase");
    url = url.replace("a-password", "another-password");
    let other = cluster.next_node().await.config("cluster", "database", url);
    let refused = other.start_to_fail().await.expect(1);
    assert!(
        refused.stderr.contains("database") && !refused.stderr.contains("another-password"),
        "{refused:?}"
    );

    // None of them is a node of this cluster.
    let nodes = cluster.nodes[0].api().get("/api/v1/nodes").await.expect(200).json();
    assert_eq!(nodes["nodes"].as_array().unwrap().len(), 1, "{nodes}");
}

#[tokio::test]
async fn everything_that_is_wrong_with_the_configuration_is_told_at_once() {
    let node = TestNode::builder().config("cluster", "redis_file", "/nowhere/redis");
    let refused = node.start_to_fail().await.expect(2);
    for text in [
        "cluster.database",
        "mysql://USER:PASSWORD@HOST:3306/DATABASE",
        "cluster.redis_file",
        "cluster.storage",
        "s3://BUCKET/PREFIX",
        "cluster.secret_file",
        "openssl rand -hex 32",
    ] {
        assert!(refused.stderr.contains(text), "{text}: {refused:?}");
    }

    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "short\n").unwrap();
    let mut node = TestNode::builder().config("cluster", "secret_file", secret.display().to_string());
    for (key, value) in
        [("database", "sqlite:///var/lib/typecase.db"), ("redis", "http://cache"), ("storage", "/share")]
    {
        node = node.config("cluster", key, value);
    }
    let refused = node.start_to_fail().await.expect(2);
    for text in ["SQLite belongs to one node", "redis://", "file:///share/typecase", "32 characters"] {
        assert!(refused.stderr.contains(text), "{text}: {refused:?}");
    }
}

#[tokio::test]
async fn nodes_start_before_their_services_do() {
    let mut cluster = Cluster::builder().wire(1, Service::Database).start_services().await;
    cluster.redis.stop().await;
    cluster.mariadb.stop().await;
    let (first, second, third) =
        (cluster.next_node().await, cluster.next_node().await, cluster.next_node().await);
    // All of them at once, into an empty database: one makes the tables.
    let started = tokio::join!(first.start(), second.start(), third.start(), async {
        eventually("a node has tried in vain", async || {
            (cluster.wire(1, Service::Database).accepted() >= 3).then_some(())
        })
        .await;
        cluster.mariadb.start_again().await;
    });
    for node in [started.0, started.1, started.2] {
        cluster.add(node);
    }
    cluster.nodes[1].publish_wasm("hello", guests::hello_saying(1)).await;
    cluster.redis.start_again().await;
    for number in 0..3 {
        super::suffers_from(&cluster, number, "").await;
    }
    cluster.nodes[2].publish_wasm("hello", guests::hello_saying(2)).await;
    cluster.all_answer("/hello/", &guests::greeting(2)).await;
}
