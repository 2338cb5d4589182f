//! The product's promise: releases change under load, and no request fails.

use typecase_harness::load::{Kind, Load};
use typecase_harness::{TestNode, guests};

const PUBLISHES: u32 = 50;
/// Every so many publishes of hello, the app with the open streams gets a new release as well.
const STREAM_EVERY: u32 = 10;

#[tokio::test]
async fn fifty_publishes_under_load_without_a_failed_request() {
    let node = TestNode::start().await;
    node.publish_wasm("hello", guests::hello_saying(0)).await;
    node.publish_wasm("stream", guests::stream_saying(0)).await;
    let load = Load::on(node.apps_address(), "/hello/")
        .keep_alive(4)
        .fresh(3)
        .streams(3, "/stream/events?count=40&interval_ms=20")
        .start();
    load.more(3).await;

    for release in 1..=PUBLISHES {
        node.publish_wasm("hello", guests::hello_saying(release)).await;
        // Whoever asks after the publish was answered gets the new release.
        assert_eq!(node.get("/hello/").await.text().trim_end(), guests::greeting(release));
        if release % STREAM_EVERY == 0 {
            let streams = load.ended(Kind::Stream);
            node.publish_wasm("stream", guests::stream_saying(release)).await;
            // Streams are open at each change: those that end soon after it began before it.
            typecase_harness::eventually("streams that were open at the change have ended", async || {
                (load.ended(Kind::Stream) >= streams + 3).then_some(())
            })
            .await;
        }
    }
    load.more(3).await;
    let history = load.stop().await;

    history.assert_no_failures(1_000);
    history.assert_never_backwards();
    let answered = (history.count(Kind::KeepAlive), history.count(Kind::Fresh), history.count(Kind::Stream));
    assert!(answered.0 >= 300 && answered.1 >= 300 && answered.2 >= 20, "{answered:?}");
    assert!(history.releases_seen(Kind::KeepAlive) > PUBLISHES as usize / 2, "the load saw the changes");
    assert_eq!(history.releases_seen(Kind::Stream), 1 + (PUBLISHES / STREAM_EVERY) as usize);
}
