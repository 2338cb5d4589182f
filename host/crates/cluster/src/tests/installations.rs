//! The ways to install Redis: Sentinel, Redis Cluster, TLS.

use std::process::Command;

use tokio::net::TcpListener;
use typecase_model::Topic;

use super::server::{Server, free_port, make_certificates, until};
use super::{Node, app, pair};

#[tokio::test]
async fn a_failover_by_sentinel_is_followed() {
    let mut primary = Server::redis(&[]);
    let replica = Server::redis(&["--replicaof", "127.0.0.1", &primary.port.to_string()]);
    until(|| replica.ask(&["info", "replication"]).contains("master_link_status:up")).await;
    let sentinel = Server::sentinel(primary.port);
    until(|| sentinel.ask(&["sentinel", "replicas", "main"]).contains(&replica.port.to_string())).await;
    // Another Sentinel accepts and never answers.
    let hung = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "redis-sentinel://127.0.0.1:{}?sentinelServiceName=main&node={}",
        sentinel.port,
        hung.local_addr().unwrap()
    );
    let [mut one, mut two] = pair(&url).await;
    primary.stop();
    for node in [&mut one, &mut two] {
        node.hears(&Topic::All).await;
        node.is_up().await;
    }
    one.announcements.announce(app("after"));
    two.hears(&app("after")).await;
    assert!(replica.ask(&["pubsub", "channels"]).contains("typecase:test:announcements"));
}

#[tokio::test]
async fn an_unknown_name_for_sentinel_is_named() {
    let primary = Server::redis(&[]);
    let sentinel = Server::sentinel(primary.port);
    let url = format!("redis-sentinel://127.0.0.1:{}?sentinelServiceName=other", sentinel.port);
    Node::new(&url).is_down("sentinelServiceName").await;
}

#[tokio::test]
async fn announcements_cross_a_redis_cluster() {
    let start = || {
        let bus = free_port().to_string();
        let server = Server::redis(&["--cluster-enabled", "yes", "--cluster-port", &bus]);
        (server, bus)
    };
    let ((mut one, _), (two, bus)) = (start(), start());
    one.ask(&["cluster", "addslotsrange", "0", "8191"]);
    two.ask(&["cluster", "addslotsrange", "8192", "16383"]);
    one.ask(&["cluster", "meet", "127.0.0.1", &two.port.to_string(), &bus]);
    for server in [&one, &two] {
        until(|| server.ask(&["cluster", "info"]).contains("cluster_state:ok")).await;
    }
    let url = format!("redis-cluster://127.0.0.1:{}?node=127.0.0.1:{}", one.port, two.port);
    let mut nodes = Vec::new();
    // fred chooses the server of a subscription by chance: with six nodes, both servers have some.
    for _ in 0..3 {
        nodes.extend(pair(&url).await);
    }
    for round in 0..2 {
        let topic = app(&format!("round-{round}"));
        nodes[0].announcements.announce(topic.clone());
        for node in &mut nodes {
            node.hears(&topic).await;
        }
        if round == 0 {
            one.stop();
            nodes[0].is_down("Redis at").await;
            one.restart();
            for node in &nodes {
                node.is_up().await;
            }
        }
    }
}

#[tokio::test]
async fn a_single_redis_is_no_cluster() {
    let server = Server::redis(&[]);
    Node::new(&format!("redis-cluster://127.0.0.1:{}", server.port)).is_down("no Redis Cluster").await;
}

/// The system's authorities are read from a file that the environment names, so this test runs itself again.
#[tokio::test]
async fn tls_is_spoken_with_the_systems_authorities() {
    const URL: &str = "TYPECASE_TEST_REDIS_URL";
    if let Ok(url) = std::env::var(URL) {
        let [one, mut two] = pair(&url).await;
        one.announcements.announce(Topic::Bundles);
        two.hears(&Topic::Bundles).await;
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path());
    let authority = folder.path().join("ca.pem");
    let server = Server::tls(folder);
    let url = format!("rediss://127.0.0.1:{}", server.port);
    Node::new(&url).is_down("TLS certificate is not accepted").await;
    Node::new(&format!("redis://127.0.0.1:{}", server.port)).is_down("rediss://").await;

    let name = "tests::installations::tls_is_spoken_with_the_systems_authorities";
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", name]).env(URL, &url).env("SSL_CERT_FILE", authority);
    let output = tokio::task::spawn_blocking(move || again.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
