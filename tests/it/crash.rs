//! kill -9 in the middle of a publish: whenever it comes, the node starts again, the last active release serves,
//! and the publish is either finished or reported failed. Nothing is left half done.

use std::time::Duration;

use serde_json::Value;
use typecase_harness::{TestNode, client, eventually, files, guests};

use crate::bystander;

/// Moments at which the node is killed, spread over a publish: upload, check, storing, compiling, activation.
const MOMENTS: u64 = 24;
const MOMENT_STEP: Duration = Duration::from_millis(16);

#[tokio::test]
async fn killed_at_any_moment_of_a_publish() {
    let mut node = TestNode::start().await;
    bystander::publish(&node).await;
    node.publish_wasm("hello", guests::hello_saying(0)).await;
    let mut ends = std::collections::BTreeMap::<&str, u32>::new();
    for moment in 0..MOMENTS {
        let release = u32::try_from(moment).unwrap() + 1;
        let serving = node.api().app("hello").await["active"].clone();
        let upload = guests::hello_saying(release);
        let publishing = tokio::spawn({
            let api = node.api();
            async move { api.try_send(http::Method::PUT, "/api/v1/apps/hello/releases", upload.into()).await }
        });
        tokio::time::sleep(MOMENT_STEP * u32::try_from(moment).unwrap()).await;
        node.kill9();
        let told = publishing.await.unwrap();
        node.restart().await;

        bystander::assert_serves(&node).await;
        // Before the node said that it was ready, it had loaded what is active.
        node.get("/hello/").await.expect(200);
        let newest = settled(&node).await;
        let end = judge(&node, &newest, release, &told).await;
        if end != "active" {
            assert_eq!(node.api().app("hello").await["active"], serving, "moment {moment}: {newest}");
        }
        *ends.entry(end).or_default() += 1;
        assert!(files::below(&node.data().join("uploads")).is_empty(), "moment {moment}");
        let half_done = |path: &std::path::PathBuf| {
            let name = path.to_string_lossy();
            [".unpacking", ".bundle", ".unsealed", "#"].iter().any(|end| name.contains(end))
        };
        let left: Vec<_> = files::below(&node.data()).into_iter().filter(half_done).collect();
        assert!(left.is_empty(), "moment {moment}: {left:?}");
    }
    println!("{MOMENTS} publishes that were cut off ended like this: {ends:?}");
    // After all that, publishing works as ever.
    node.publish_wasm("hello", guests::hello_saying(99)).await;
    assert_eq!(node.get("/hello/").await.text(), "release 00099\n");
}

/// The newest release of hello, once nothing is being rolled out any more.
async fn settled(node: &TestNode) -> Value {
    eventually("no rollout of hello is under way", async || {
        let app = node.api().app("hello").await;
        let newest = node.api().releases("hello").await.remove(0);
        (app["candidate"].is_null() && newest["state"] != "preparing").then_some(newest)
    })
    .await
}

/// What became of a publish that was cut off: it never came to be a release, or is active, or failed with a reason.
async fn judge(
    node: &TestNode,
    newest: &Value,
    release: u32,
    told: &Result<typecase_harness::Answer, client::NoAnswer>,
) -> &'static str {
    let was_told = told.as_ref().is_ok_and(|answer| answer.status == 200);
    let greeting = format!("{}\n", guests::greeting(release));
    let receipts = node.api().receipts("hello", newest["number"].as_u64().unwrap()).await;
    match newest["state"].as_str().unwrap() {
        "active" => {
            let text = eventually("the active release answers", async || {
                let text = node.get("/hello/").await.expect(200).text();
                let number = newest["number"].as_u64().unwrap();
                // The release may be the one of an earlier moment: then this publish left no trace.
                (text == greeting || number < u64::from(release) + 1).then_some(text)
            })
            .await;
            if text == greeting {
                return "active";
            }
            assert!(!was_told, "a publish that was answered with success is lost: {newest}");
            "not recorded"
        }
        "failed" => {
            assert!(!was_told, "a publish that was answered with success has failed: {newest}");
            assert!(
                newest["failure"].as_str().is_some_and(|reason| !reason.is_empty()),
                "{newest} {receipts:?}"
            );
            "failed"
        }
        other => panic!("the release is {other}: {newest}"),
    }
}
