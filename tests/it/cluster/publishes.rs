//! Publishing under load, on one node after the other: no client notices, and nobody sees an old release again.

use std::time::Instant;

use typecase_harness::bundles::Bundle;
use typecase_harness::load::{History, Kind, Load};
use typecase_harness::{Cluster, Storage, guests};

use super::front::{Balancer, Front};
use super::receipt_states;

const PUBLISHES: u32 = 50;

/// So many different components take turns: what is tried here is the change of releases, not the compiler.
const COMPONENTS: u32 = 4;

/// Every so many publishes, the app of the streams is published too.
const STREAM_EVERY: u32 = 20;

/// Half a second: several publishes long.
const STREAM: &str = "/stream/events?count=25&interval_ms=20";

/// An asset that names the release, for who GETs it, beside a component that names itself to those who POST.
fn release_of_hello(release: u32) -> Vec<u8> {
    let text = format!("{}\n", guests::greeting(release));
    let component = guests::hello_saying(release % COMPONENTS);
    Bundle::of("hello").component(component).asset("release.txt", text).zip()
}

async fn fifty_publishes_through(balancer: Balancer, storage: Storage) {
    let cluster = Cluster::builder().storage(storage).start().await;
    cluster.nodes[0].publish_wasm("hello", release_of_hello(1)).await;
    cluster.nodes[0].publish_wasm("stream", guests::stream_saying(1)).await;
    cluster.all_answer("/hello/release.txt", &guests::greeting(1)).await;
    let front = Front::start(balancer, &cluster).await;
    let load = Load::on(front.address(), "/hello/release.txt");
    let load = load.keep_alive(1).fresh(1).posts(1).streams(2, STREAM).start();
    load.more(2).await;

    let mut last = Instant::now();
    for release in 2..=PUBLISHES + 1 {
        let node = &cluster.nodes[release as usize % cluster.nodes.len()];
        let published = node.publish_wasm("hello", release_of_hello(release)).await;
        last = Instant::now();
        // Who said that it serves the release does so, without anybody waiting for it.
        for (name, state) in receipt_states(&cluster, &published).await {
            let number: usize = name.trim_start_matches("node-").parse().unwrap();
            if state == "active" {
                let text = cluster.nodes[number].get("/hello/release.txt").await.expect(200).text();
                assert_eq!(text.trim_end(), guests::greeting(release), "{name} after {published}");
            }
        }
        for node in &cluster.nodes {
            assert_eq!(node.api().app("hello").await["generation"], published["generation"]);
        }
        if release % STREAM_EVERY == 0 {
            node.publish_wasm("stream", guests::stream_saying(release)).await;
        }
    }
    cluster.all_answer("/hello/release.txt", &guests::greeting(PUBLISHES + 1)).await;
    load.more(5).await;
    let mut history = load.stop().await;
    history.assert_no_failures(500);
    assert_eq!(history.find_nodes(&cluster.nodes).await, 0, "each answer is known to be some node's");
    assert_eq!(history.nodes_seen().len(), cluster.nodes.len());
    history.only(|record| record.kind == Kind::Stream).assert_never_backwards_on_a_node();
    let hello = numbered(history.only(|record| record.kind != Kind::Stream));
    hello.assert_never_backwards_on_a_node();
    hello.assert_serves_from(last, PUBLISHES + 1);
    for kind in [Kind::KeepAlive, Kind::Fresh, Kind::Post] {
        assert!(hello.releases_seen(kind) > 10, "{kind:?}: the load was there all the time");
    }
    // The nodes go before what stands in front of them.
    drop(cluster);
    drop(front);
}

/// Every answer was made of the release that its node says it was, assets as well as code; so from here on the code's
/// answers have the release's number, too.
fn numbered(mut history: History) -> History {
    for record in &mut history.records {
        let number = record.logged_release.unwrap();
        let said = if record.kind == Kind::Post { number % COMPONENTS } else { number };
        assert_eq!(record.release, Some(said), "{record:?}");
        record.release = Some(number);
    }
    history
}

#[tokio::test]
async fn fifty_publishes_through_nginx() {
    fifty_publishes_through(Balancer::Nginx, Storage::Folder).await;
}

#[tokio::test]
async fn fifty_publishes_through_haproxy() {
    fifty_publishes_through(Balancer::Haproxy, Storage::Folder).await;
}

#[tokio::test]
async fn fifty_publishes_through_nginx_on_s3() {
    fifty_publishes_through(Balancer::Nginx, Storage::S3).await;
}

#[tokio::test]
async fn fifty_publishes_through_haproxy_on_s3() {
    fifty_publishes_through(Balancer::Haproxy, Storage::S3).await;
}
