//! Rolling back, and what a node still knows after it was stopped, or killed.

use serde_json::json;
use typecase_harness::{TestNode, guests};

use crate::bystander;
use crate::offender::compilations;

#[tokio::test]
async fn an_older_release_serves_again_without_being_compiled() {
    let node = TestNode::start().await;
    bystander::publish(&node).await;
    for release in 1..=3 {
        node.publish_wasm("hello", guests::hello_saying(release)).await;
    }
    let compiled = compilations(&node).await;
    for (to, serves) in [(None, 2), (None, 3), (Some("1"), 1), (Some("3"), 3)] {
        let answer = match to {
            Some(to) => node.cli(["rollback", "hello", "--to", to, "--json"]).await,
            None => node.cli(["rollback", "hello", "--json"]).await,
        };
        assert_eq!(answer.expect(0).json()["release"], serves, "rolled back to {to:?}");
        assert_eq!(node.get("/hello/").await.expect(200).text().trim_end(), guests::greeting(serves));
    }
    assert_eq!(compilations(&node).await, compiled, "old releases stay compiled");
    let unchanged = node.cli(["rollback", "hello", "--to", "3", "--json"]).await.expect(0).json();
    assert_eq!(unchanged["unchanged"], true);
    bystander::assert_serves(&node).await;
}

#[tokio::test]
async fn a_restart_keeps_everything_and_so_does_kill_9() {
    let mut node = TestNode::start().await;
    bystander::publish(&node).await;
    node.publish_wasm("hello", guests::hello_saying(1)).await;
    node.publish_wasm("hello", guests::hello_saying(2)).await;
    node.publish_wasm("hello", guests::hello_saying(3)).await;
    node.cli(["rollback", "hello", "--to", "2", "--json"]).await.expect(0);
    node.publish_wasm("gone", guests::hello_saying(9)).await;
    node.cli(["withdraw", "gone"]).await.expect(0);
    let token = node.cli(["token", "create", "ci", "--role", "viewer"]).await.expect(0).stdout;
    let before = known(&node).await;

    for killed in [false, true] {
        if killed {
            node.kill9();
        } else {
            assert_eq!(node.terminate().await.code(), Some(0), "{}", node.log());
        }
        node.restart().await;
        // Ready means that what is active serves already.
        assert_eq!(node.get("/hello/").await.expect(200).text(), "release 00002\n");
        bystander::assert_serves(&node).await;
        node.get("/gone/").await.expect_problem(404, "app-not-found");
        assert_eq!(known(&node).await, before);
        node.api().with_token(Some(token.trim())).get("/api/v1/apps").await.expect(200);
        assert_eq!(compilations(&node).await, 0.0, "compiled code is kept");
    }
    let back = node.cli(["rollback", "hello", "--to", "3", "--json"]).await.expect(0).json();
    assert_eq!((&back["release"], &back["state"]), (&json!(3), &json!("active")));
    assert_eq!(node.get("/hello/").await.text(), "release 00003\n");
    assert_eq!(compilations(&node).await, 0.0, "compiled code is kept for releases that do not serve, too");
}

/// Everything that the API tells about apps and their releases.
async fn known(node: &TestNode) -> serde_json::Value {
    let api = node.api();
    let apps = api.get("/api/v1/apps").await.expect(200).json();
    let mut releases = Vec::new();
    for app in apps["apps"].as_array().unwrap() {
        releases.push(api.releases(app["name"].as_str().unwrap()).await);
    }
    json!({ "apps": apps, "releases": releases })
}
