//! Every example in Rust, published as a reader of its page would and called once. Against which version of WASI it is
//! written makes no difference to the server, and neither does the language: for others see `languages.rs`.

use serde_json::json;
use typecase_harness::{TestNode, guests};

#[tokio::test]
async fn every_example_is_published_and_answers() {
    let node = TestNode::start().await;
    for (example, path, answer) in [
        ("config", "/", "Hello!\n"),
        ("hello", "/", "Hello, world!\n"),
        ("hello-p3", "/", "Hello, world!\n"),
        ("hello-sdk", "/hello/you", "Hello, you!\n"),
        ("stream", "/events?count=2&interval_ms=1", "data: 1\n\ndata: 2\n\n"),
    ] {
        let published = node.publish_dir(&guests::example(example)).await;
        assert_eq!((&published["app"], &published["state"]), (&example.into(), &"active".into()));
        assert_eq!(node.get(&format!("/{example}{path}")).await.expect(200).text(), answer, "{example}");
    }
    let api = node.publish_dir(&guests::example("json-api")).await;
    assert_eq!(api["state"], "active");
    let converted = node.get("/json-api/convert/mile/kilometre?value=2").await.expect(200).json();
    assert_eq!(converted, json!({ "value": 3.2187, "unit": "kilometre" }));
    let sum = json!({ "to": "foot", "lengths": [{ "value": 12, "unit": "inch" }] });
    let added = node.send(http::Method::POST, "/json-api/sum", sum.to_string()).await.expect(200).json();
    assert_eq!(added, json!({ "value": 1.0, "unit": "foot" }));
    assert_eq!(
        node.get("/json-api/convert/yard/mile?value=1").await.expect(404).json()["code"],
        "unit-unknown"
    );
    assert!(node.get("/stream/").await.expect(200).text().contains("<html"));
    assert_eq!(
        node.send(http::Method::POST, "/stream/echo", "there and back").await.text(),
        "there and back"
    );
    assert_eq!(node.get("/stream/bytes?n=1000000").await.expect(200).body.len(), 1_000_000);
}
