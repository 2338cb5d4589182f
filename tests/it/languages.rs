//! Examples in other languages than Rust: published as a reader of their pages would, called through all they have, and
//! replaced under requests. Nothing about them is special to the server but their size.

use std::fs;

use http::Method;
use serde_json::json;
use typecase_harness::client::Answer;
use typecase_harness::load::Load;
use typecase_harness::{TestNode, command, guests};

/// A node that takes the time it needs: the engines inside these components are large, and this build's compiler is slow.
async fn node() -> TestNode {
    TestNode::builder()
        .config("limits", "compile_effort", "little")
        .config("limits", "compile_timeout_ms", 400_000)
        .config("limits", "rollout_timeout_ms", 420_000)
        .start()
        .await
}

/// Publishes the example, and then another release of it while others call it.
async fn published_and_replaced(example: &str) -> TestNode {
    let node = node().await;
    let project = guests::example(example);
    let original = guests::component(&project);
    let saying =
        |release| guests::reworded_everywhere(&original, "Hello, world!", &guests::greeting(release));

    // The project as its author has it, but for the answer. Each compilation of such a component takes long.
    let copy = tempfile::tempdir().unwrap();
    let component = copy.path().join(guests::component_path(&project).strip_prefix(&project).unwrap());
    fs::create_dir_all(component.parent().unwrap()).unwrap();
    fs::write(component, saying(1)).unwrap();
    fs::copy(project.join("typecase.toml"), copy.path().join("typecase.toml")).unwrap();
    let published = node.publish_dir(copy.path()).await;
    assert_eq!((&published["app"], &published["state"]), (&example.into(), &"active".into()));

    let load = Load::on(node.apps_address(), &format!("/{example}/")).keep_alive(1).fresh(1).start();
    load.more(3).await;
    node.publish_wasm(example, saying(2)).await;
    load.more(3).await;
    let history = load.stop().await;
    history.assert_no_failures(12);
    history.assert_never_backwards();
    assert_eq!(node.get(&format!("/{example}/")).await.text().trim_end(), guests::greeting(2));
    node
}

async fn words(node: &TestNode, example: &str, body: &str) -> Answer {
    node.send(Method::POST, &format!("/{example}/words"), body.to_owned()).await
}

/// What the examples with JSON have in common.
async fn assert_counts_words(node: &TestNode, example: &str) {
    let counted = words(node, example, r#"{"text": "one three  four"}"#).await.expect(200);
    assert_eq!(counted.header("content-type"), "application/json");
    assert_eq!(counted.json(), json!({"words": 3, "longest": "three"}));
    // More than one read of a stream gives.
    let long = json!({ "text": format!("{} end", "x".repeat(300_000)) }).to_string();
    assert_eq!(words(node, example, &long).await.expect(200).json()["words"], 2);
    words(node, example, "{").await.expect(400).json();
    words(node, example, "{}").await.expect(422).json();
    node.get(&format!("/{example}/elsewhere")).await.expect(404);
}

#[tokio::test]
async fn javascript_is_published_called_and_replaced() {
    published_and_replaced("hello-js").await;
}

#[tokio::test]
async fn javascript_that_asks_for_reuse_is_refused() {
    let project = guests::example("hello-js");
    let copy = tempfile::tempdir().unwrap();
    fs::write(copy.path().join("hello-js.wasm"), guests::component(&project)).unwrap();
    let manifest = fs::read_to_string(project.join("typecase.toml")).unwrap();
    fs::write(copy.path().join("typecase.toml"), manifest + "[limits]\nreuse = 100\n").unwrap();
    let path = copy.path().display().to_string();
    let report = command::run(["check", "--offline", "--json", &path]).await.expect(1).json();
    let problem = &report["problems"][0];
    assert_eq!(problem["code"], "reuse-impossible", "{report}");
    assert!(problem["message"].as_str().unwrap().contains("set `reuse = 1`"), "{problem}");
    assert_eq!(problem["place"], json!(["limits", "reuse"]), "{problem}");
}

#[tokio::test]
async fn typescript_is_published_called_and_replaced() {
    let node = published_and_replaced("hello-ts").await;
    assert_counts_words(&node, "hello-ts").await;
    let lines = node.get("/hello-ts/lines?count=3").await.expect(200);
    assert_eq!(lines.text(), "{\"line\":1}\n{\"line\":2}\n{\"line\":3}\n");
    node.get("/hello-ts/lines?count=many").await.expect(422);
}

#[tokio::test]
async fn python_is_published_called_and_replaced_and_its_traceback_is_in_the_log() {
    let node = published_and_replaced("hello-python").await;
    assert_counts_words(&node, "hello-python").await;
    let failed = node.get("/hello-python/fail").await.expect_problem(502, "guest-trap");
    let id = failed["request_id"].as_str().unwrap_or_default();
    let log = typecase_harness::eventually("the traceback", async || {
        let log = node.cli(["logs", "hello-python", "--request", id]).await.expect(0).stdout;
        log.contains("KeyError: 'pears'").then_some(log)
    })
    .await;
    assert!(log.contains("app.py\", line 29, in fail"), "{log}");
}

#[tokio::test]
async fn go_is_published_called_and_replaced() {
    let node = published_and_replaced("hello-go").await;
    assert_counts_words(&node, "hello-go").await;
}
