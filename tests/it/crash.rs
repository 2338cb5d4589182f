//! kill -9 in the middle of a publish: whenever it comes, the node starts again, the last active release serves,
//! and the publish is either finished or reported failed. Nothing is left half done.

use std::path::PathBuf;
use std::time::Instant;

use http::Method;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use typecase_harness::bundles::Bundle;
use typecase_harness::{TestNode, eventually, files, guests};

use crate::bystander;

/// Moments at which the node is killed, spread over a publish: upload, check, storing, compiling, activation.
/// Denser at the beginning, where the steps are short.
const MOMENTS: u32 = 24;
const MOMENTS_OF_A_ROLLBACK: u32 = 8;

#[tokio::test]
async fn killed_at_any_moment_of_a_publish() {
    let mut node = TestNode::start().await;
    bystander::publish(&node).await;
    let began = Instant::now();
    node.publish_wasm("hello", guests::hello_saying(0)).await;
    // A little later than an undisturbed publish ends, on this machine.
    let last_moment = began.elapsed() * 3 / 2;
    let mut ends = std::collections::BTreeMap::<&str, u32>::new();
    for moment in 0..MOMENTS {
        let release = moment + 1;
        let serving = node.api().app("hello").await["active"].clone();
        let upload = guests::hello_saying(release);
        let publishing = tokio::spawn({
            let (api, path) = (node.api(), format!("/api/v1/apps/hello/releases?note={}", note(release)));
            async move { api.try_send(Method::PUT, &path, upload.into()).await }
        });
        tokio::time::sleep(last_moment * (moment * moment) / (MOMENTS * MOMENTS)).await;
        node.kill9();
        let was_told = publishing.await.unwrap().is_ok_and(|answer| answer.status == 200);
        node.restart().await;

        bystander::assert_serves(&node).await;
        // Before the node said that it was ready, it had loaded what is active.
        node.get("/hello/").await.expect(200);
        let newest = settled(&node).await;
        let end = judge(&node, &newest, release, was_told).await;
        if end != "active" {
            assert_eq!(node.api().app("hello").await["active"], serving, "moment {moment}: {newest}");
        }
        *ends.entry(end).or_default() += 1;
        assert_nothing_half_done(&node);
    }
    println!("{MOMENTS} publishes that were cut off ended like this: {ends:?}");
    // The first moment is before anything is stored, the last one after.
    assert!(ends.contains_key("not recorded") && ends.contains_key("active"), "{ends:?}");
    // After all that, publishing works as ever.
    node.publish_wasm("hello", guests::hello_saying(99)).await;
    assert_eq!(node.get("/hello/").await.text(), "release 00099\n");
}

#[tokio::test]
async fn killed_at_any_moment_of_a_rollback() {
    let mut node = TestNode::start().await;
    bystander::publish(&node).await;
    for release in [1, 2] {
        node.publish_wasm("hello", guests::hello_saying(release)).await;
    }
    let began = Instant::now();
    node.cli(["rollback", "hello"]).await.expect(0);
    let last_moment = began.elapsed() * 3 / 2;
    for moment in 0..MOMENTS_OF_A_ROLLBACK {
        let before = node.api().app("hello").await["active"].as_u64().unwrap();
        let to = 3 - before;
        let rolling_back = tokio::spawn({
            let (api, body) = (node.api(), format!("{{\"release\":{to}}}"));
            async move { api.try_send(Method::POST, "/api/v1/apps/hello/activate", body.into()).await }
        });
        tokio::time::sleep(last_moment * moment / MOMENTS_OF_A_ROLLBACK).await;
        node.kill9();
        let was_told = rolling_back.await.unwrap().is_ok_and(|answer| answer.status == 200);
        node.restart().await;

        bystander::assert_serves(&node).await;
        node.get("/hello/").await.expect(200);
        let active = eventually("the rollback has ended", async || {
            let app = node.api().app("hello").await;
            app["candidate"].is_null().then(|| app["active"].as_u64().unwrap())
        })
        .await;
        assert!(active == to || active == before && !was_told, "moment {moment}: {before} -> {active}");
        let greeting = guests::greeting(active as u32);
        eventually("what is active serves", async || {
            (node.get("/hello/").await.expect(200).text().trim_end() == greeting).then_some(())
        })
        .await;
        assert_nothing_half_done(&node);
    }
}

/// A release that ends the process whenever it is prepared is given up; here it only takes so long that the process can be
/// ended from outside.
#[tokio::test]
async fn killed_again_and_again_by_one_candidate() {
    const ATTEMPTS: u32 = 3;
    let mut node = TestNode::start().await;
    bystander::publish(&node).await;
    node.publish_wasm("hello", guests::hello_saying(1)).await;
    let slow = Bundle::of("hello").component(guests::component(&guests::guest("hostile")));
    let slow = slow.manifest("health = \"/never\"").zip();
    let publishing = tokio::spawn({
        let api = node.api();
        async move { api.try_send(Method::PUT, "/api/v1/apps/hello/releases", slow.into()).await }
    });
    let attempt = node.data().join("cache/attempts/hello.2");
    for ended in 1..=ATTEMPTS {
        eventually("it is being prepared", async || {
            attempt.metadata().is_ok_and(|file| file.len() == u64::from(ended)).then_some(())
        })
        .await;
        node.kill9();
        node.restart().await;
    }
    let newest = settled(&node).await;
    assert_eq!(newest["state"], "failed", "{newest}");
    assert!(newest["failure"].to_string().contains("has ended 3 times"), "{newest}");
    assert!(!publishing.await.unwrap().is_ok_and(|answer| answer.status == 200));
    assert!(!attempt.exists());
    assert_eq!(node.get("/hello/").await.expect(200).text(), "release 00001\n");
    bystander::assert_serves(&node).await;
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
async fn judge(node: &TestNode, newest: &Value, release: u32, was_told: bool) -> &'static str {
    let recorded = newest["note"] == note(release);
    match newest["state"].as_str().unwrap_or_default() {
        _ if !recorded => {
            assert!(!was_told, "a publish that was answered with success is lost: {newest}");
            "not recorded"
        }
        "active" => {
            let greeting = guests::greeting(release);
            eventually("the release that was resumed serves", async || {
                (node.get("/hello/").await.expect(200).text().trim_end() == greeting).then_some(())
            })
            .await;
            "active"
        }
        "failed" => {
            assert!(!was_told, "a publish that was answered with success has failed: {newest}");
            assert!(newest["failure"].as_str().is_some_and(|reason| !reason.is_empty()), "{newest}");
            "failed"
        }
        other => panic!("the release is {other}: {newest}"),
    }
}

fn note(release: u32) -> String {
    format!("release-{release}")
}

/// Nothing that belongs to a publish under way is left.
#[track_caller]
fn assert_nothing_half_done(node: &TestNode) {
    assert_eq!(files::below(&node.data().join("uploads")), Vec::<PathBuf>::new());
    let half_done = |path: &PathBuf| {
        let name = path.strip_prefix(node.data()).unwrap().to_string_lossy();
        [".unpacking", ".bundle", ".unsealed", ".next", "#"].iter().any(|mark| name.contains(mark))
    };
    let left: Vec<_> = files::below(&node.data()).into_iter().filter(half_done).collect();
    assert_eq!(left, Vec::<PathBuf>::new());
}

#[tokio::test]
async fn killed_in_the_middle_of_an_upload() {
    let mut node = TestNode::start().await;
    bystander::publish(&node).await;
    let mut stream = TcpStream::connect(node.admin_address()).await.unwrap();
    let token = node.api().token.unwrap();
    let head = format!(
        "PUT /api/v1/apps/hello/releases HTTP/1.1\r\nhost: node\r\nauthorization: Bearer {token}\r\ncontent-length: 900000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&[7; 600_000]).await.unwrap();
    eventually("a part of the upload is there", async || {
        let parts = files::below(&node.data().join("uploads"));
        parts.iter().any(|part| part.metadata().is_ok_and(|meta| meta.len() > 0)).then_some(())
    })
    .await;
    node.kill9();
    node.restart().await;
    bystander::assert_serves(&node).await;
    assert_nothing_half_done(&node);
    node.api().get("/api/v1/apps/hello").await.expect_problem(404, "not-found");
}
