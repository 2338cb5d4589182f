//! Announcements that are lost, doubled, late or overtaken cost time, and nothing else.

use typecase_harness::services::{Announcements, Link};
use typecase_harness::{Cluster, Service, guests};

use super::{FIRST, load_on_all, publish_first, stop_all};

/// Longer than the nodes' timers, so that it is always news from the past.
const LATE_MS: u64 = 4_000;

#[tokio::test]
async fn announcements_are_lost_doubled_late_and_overtaken() {
    let mut builder = Cluster::builder();
    for node in 0..3 {
        builder = builder.wire(node, Service::Redis);
    }
    let cluster = builder.start().await;
    publish_first(&cluster).await;
    let loads = load_on_all(&cluster);
    let mut release = FIRST;
    for fault in [
        Announcements::Dropped,
        Announcements::Duplicated,
        Announcements::LateMs(LATE_MS),
        Announcements::EveryOtherLateMs(LATE_MS),
    ] {
        let heard = cluster.wire(1, Service::Redis).announcements();
        for node in 0..3 {
            cluster.wire(node, Service::Redis).set(Link::Announcements(fault)).await;
        }
        for _ in 0..2 {
            release += 1;
            let node = &cluster.nodes[release as usize % 3];
            node.publish_wasm("hello", guests::hello_saying(release)).await;
            cluster.all_answer("/hello/", &guests::greeting(release)).await;
        }
        assert!(cluster.wire(1, Service::Redis).announcements() > heard, "{fault:?} met no announcement");
        // Nobody takes them for something else: the nodes are well.
        for number in 0..3 {
            super::suffers_from(&cluster, number, "").await;
        }
    }
    for node in &cluster.nodes {
        let app = node.api().app("hello").await;
        assert_eq!((app["active"].as_u64(), app["candidate"].is_null()), (Some(u64::from(release)), true));
    }
    stop_all(loads).await;
}
