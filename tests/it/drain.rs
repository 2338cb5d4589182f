//! SIGTERM: the node first says that it is not ready, goes on serving, then finishes what it has, then ends.

use rustix::process::Signal;
use typecase_harness::client::{Connection, get};
use typecase_harness::load::{Kind, Load};
use typecase_harness::{TestNode, eventually, guests};

#[tokio::test]
async fn nothing_fails_while_a_node_under_load_is_taken_out() {
    // As long as a balancer needs to see it, and the load to notice.
    let mut node = TestNode::builder().config("drain", "delay_ms", 4_000).start().await;
    node.publish_wasm("hello", guests::hello_saying(1)).await;
    node.publish_wasm("stream", guests::stream_saying(1)).await;
    let load = Load::on(node.apps_address(), "/hello/")
        .keep_alive(3)
        .fresh(2)
        .streams(2, "/stream/events?count=200&interval_ms=30")
        .start();
    eventually("the load is under way", async || (load.ended(Kind::Fresh) >= 20).then_some(())).await;

    node.signal(Signal::TERM);
    eventually("readiness fails", async || (node.admin_get("/readyz").await.status == 503).then_some(()))
        .await;
    assert_eq!(node.admin_get("/readyz").await.text(), "draining\n");
    node.admin_get("/livez").await.expect(200);
    // Everything is served still, and clients are asked to look elsewhere.
    let mut connection = Connection::open(node.apps_address()).await.unwrap();
    let answer = connection.send(get(node.apps_address(), "/hello/")).await.unwrap().expect(200);
    assert_eq!(answer.header("connection"), "close");
    node.get("/.well-known/typecase/health").await.expect(503);
    let ended = load.ended(Kind::KeepAlive);
    eventually("requests after readiness failed", async || {
        (load.ended(Kind::KeepAlive) >= ended + 10).then_some(())
    })
    .await;

    // The balancer has noticed: no new requests. The streams that are open end well, after the listener closed.
    let history = load.stop().await;
    history.assert_no_failures(60);
    assert!(history.count(Kind::Stream) >= 2);
    assert_eq!(node.ended().await.code(), Some(0), "{}", node.log());
    node.log_line(&["stopped"]).await;
}

#[tokio::test]
async fn a_second_signal_ends_the_node_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut node = TestNode::builder().config("drain", "delay_ms", 600_000).start().await;
        node.publish_wasm("hello", guests::hello_saying(1)).await;
        node.signal(Signal::TERM);
        eventually("readiness fails", async || (node.admin_get("/readyz").await.status == 503).then_some(()))
            .await;
        node.get("/hello/").await.expect(200);
        node.signal(signal);
        assert_eq!(node.ended().await.code(), Some(130), "{}", node.log());
    }
}

#[tokio::test]
async fn what_outlasts_the_grace_period_is_cut_off() {
    let mut node = TestNode::builder().config("drain", "grace_ms", 300).start().await;
    node.publish_dir(&guests::example("stream")).await;
    let mut connection = Connection::open(node.apps_address()).await.unwrap();
    let endless = get(node.apps_address(), "/stream/events?count=1000000&interval_ms=10");
    let response = connection.begin(endless).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(node.terminate().await.code(), Some(0), "{}", node.log());
    node.log_line(&["the grace period is over"]).await;
}
