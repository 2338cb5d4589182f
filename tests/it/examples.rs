//! Every example, published as a reader of its page would and called once. What an app is written in, and
//! against which version of WASI, makes no difference to the server.

use typecase_harness::{TestNode, guests};

#[tokio::test]
async fn every_example_is_published_and_answers() {
    // The JavaScript engine is large, and this build's compiler is slow.
    let node = TestNode::builder()
        .config("limits", "compile_timeout_ms", 200_000)
        .config("limits", "rollout_timeout_ms", 220_000)
        .start()
        .await;
    for (example, path, answer) in [
        ("config", "/", "Hello!\n"),
        ("hello", "/", "Hello, world!\n"),
        ("hello-p3", "/", "Hello, world!\n"),
        ("hello-js", "/", "Hello, world!\n"),
        ("stream", "/events?count=2&interval_ms=1", "data: 1\n\ndata: 2\n\n"),
    ] {
        let published = node.publish_dir(&guests::example(example)).await;
        assert_eq!((&published["app"], &published["state"]), (&example.into(), &"active".into()));
        assert_eq!(node.get(&format!("/{example}{path}")).await.expect(200).text(), answer, "{example}");
    }
    assert!(node.get("/stream/").await.expect(200).text().contains("<html"));
    assert_eq!(
        node.send(http::Method::POST, "/stream/echo", "there and back").await.text(),
        "there and back"
    );
    assert_eq!(node.get("/stream/bytes?n=1000000").await.expect(200).body.len(), 1_000_000);
}
