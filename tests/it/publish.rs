//! Publishing: from a folder, a bundle or a bare component to a served release.

use serde_json::json;
use typecase_harness::bundles::Bundle;
use typecase_harness::{TestNode, files, guests};

use crate::bystander::Bystander;

#[tokio::test]
async fn hello_is_published_served_changed_and_left_alone_when_unchanged() {
    let node = TestNode::start().await;
    let project = guests::example("hello");
    let published = node.publish_dir(&project).await;
    assert_eq!((&published["state"], &published["release"]), (&json!("active"), &json!(1)));
    assert_eq!(published["receipts"][0]["state"], "active");
    assert_eq!(node.get("/hello/").await.expect(200).text(), "Hello, world!\n");

    let again = node.publish_dir(&project).await;
    assert_eq!((&again["release"], &again["unchanged"]), (&json!(1), &json!(true)));
    assert_eq!(again["digest"], published["digest"]);
    let text = node.cli(["publish", &project.display().to_string()]).await.expect(0).stdout;
    assert_eq!(text, "hello release 1 is active already: nothing changed\n");
    assert_eq!(node.api().releases("hello").await.len(), 1);

    let changed = node.publish_wasm("hello", guests::hello_saying(2)).await;
    assert_eq!((&changed["release"], &changed["unchanged"]), (&json!(2), &json!(false)));
    assert_eq!(node.get("/hello/").await.expect(200).text(), "release 00002\n");
}

#[tokio::test]
async fn a_release_that_is_not_activated_waits_until_it_is() {
    let node = TestNode::start().await;
    node.publish_wasm("hello", guests::hello_saying(1)).await;

    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("next.wasm");
    std::fs::write(&component, guests::hello_saying(2)).unwrap();
    let component = component.display().to_string();
    let prepared = node
        .cli(["publish", &component, "--name", "hello", "--note", "next week", "--no-activate", "--json"])
        .await
        .expect(0)
        .json();
    assert_eq!((&prepared["release"], &prepared["state"]), (&json!(2), &json!("prepared")));
    assert_eq!(prepared["receipts"][0]["state"], "prepared");
    assert_eq!(node.get("/hello/").await.text(), "release 00001\n");
    let app = node.api().app("hello").await;
    assert_eq!((&app["active"], &app["candidate"]), (&json!(1), &json!(null)));
    assert_eq!(node.api().releases("hello").await[0]["note"], "next week");

    let active = node.api().activate("hello", 2).await.expect(200).json();
    assert_eq!((&active["release"], &active["state"]), (&json!(2), &json!("active")));
    assert_eq!(node.get("/hello/").await.text(), "release 00002\n");
}

#[tokio::test]
async fn a_bare_component_needs_a_name_and_a_core_module_becomes_a_component() {
    let node = TestNode::start().await;
    let core = guests::component_path(&guests::guest("hello-core")).display().to_string();
    let bytes = std::fs::read(&core).unwrap();
    assert_eq!(bytes[4..8], [1, 0, 0, 0], "the guest is a core module");

    let refused = node.cli(["publish", &core, "--json"]).await.expect(2);
    assert_eq!(refused.json()["code"], "publish-path");
    assert!(refused.stderr.contains("--name"), "{refused:?}");

    let published = node.cli(["publish", &core, "--name", "core", "--json"]).await.expect(0).json();
    assert_eq!((&published["app"], &published["state"]), (&json!("core"), &json!("active")));
    assert_eq!(node.get("/core/").await.expect(200).text(), "Hello from a core module!\n");
    // The same bytes through the API are wrapped into the same bundle.
    let again = node.api().publish("core", bytes, "").await.expect(200).json();
    assert_eq!((&again["unchanged"], &again["digest"]), (&json!(true), &published["digest"]));
}

#[tokio::test]
async fn an_app_may_be_assets_only() {
    let node = TestNode::start().await;
    let bundle = Bundle::of("site").asset("index.html", "<p>one").asset("style/a.css", "p{}");
    node.api().publish("site", bundle.zip(), "").await.expect(200);
    assert_eq!(node.get("/site/").await.expect(200).text(), "<p>one");
    assert_eq!(
        node.get("/site/style/a.css").await.expect(200).header("content-type"),
        "text/css; charset=utf-8"
    );
    node.get("/site/nothing").await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn what_fails_its_health_check_or_its_start_is_refused_and_the_active_release_goes_on() {
    let node = TestNode::start().await;
    node.publish_wasm("hello", guests::hello_saying(1)).await;
    let bystander = Bystander::on(&node).await;
    for (guest, reason) in [
        ("unhealthy", "the health path `/` answered 500"),
        ("start-trap", "the health path `/` failed: guest-trap"),
    ] {
        let component = guests::component_path(&guests::guest(guest)).display().to_string();
        let failed = node.cli(["publish", &component, "--name", "hello", "--json"]).await.expect(5);
        let problem = failed.json();
        assert_eq!(problem["code"], "release-failed", "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(reason), "{guest}: {problem}");
        assert!(failed.stderr.contains(reason), "{guest}: {failed:?}");
        assert_eq!(problem["receipts"][0]["state"], "failed");

        let app = node.api().app("hello").await;
        assert_eq!((&app["active"], &app["candidate"]), (&json!(1), &json!(null)));
        let newest = node.api().releases("hello").await.remove(0);
        assert_eq!(newest["state"], "failed");
        assert!(newest["failure"].as_str().unwrap().contains(reason), "{newest}");
        assert_eq!(node.get("/hello/").await.expect(200).text(), "release 00001\n");
    }
    // A guest that computes forever is stopped by its own limit.
    let spin = Bundle::of("hello").component(guests::component(&guests::guest("spin")));
    let spin = node.api().publish("hello", spin.manifest("[limits]\ncpu_ms = 200").zip(), "").await;
    let problem = spin.expect_problem(422, "release-failed");
    assert!(problem["detail"].as_str().unwrap().contains("cpu-limit"), "{problem}");
    assert_eq!(node.get("/hello/").await.expect(200).text(), "release 00001\n");
    // A first release that fails leaves nothing that serves.
    let unhealthy = guests::component(&guests::guest("unhealthy"));
    node.api().publish("sick", unhealthy, "").await.expect_problem(422, "release-failed");
    node.get("/sick/").await.expect_problem(404, "app-not-found");
    // Failing has no consequences for what comes next.
    node.publish_wasm("hello", guests::hello_saying(2)).await;
    assert_eq!(node.get("/hello/").await.text(), "release 00002\n");
    bystander.went_on().await;
}

#[tokio::test]
async fn a_publisher_may_leave_before_the_end() {
    let node = TestNode::start().await;
    let accepted = node.api().publish("hello", guests::hello_saying(1), "?wait=0").await.expect(202).json();
    assert_eq!((&accepted["release"], &accepted["state"]), (&json!(1), &json!("preparing")));
    typecase_harness::eventually("the release is active", async || {
        (node.api().app("hello").await["active"] == 1).then_some(())
    })
    .await;
    typecase_harness::eventually("the release serves", async || {
        (node.get("/hello/").await.text() == "release 00001\n").then_some(())
    })
    .await;
    assert!(files::below(&node.data().join("uploads")).is_empty());
}
