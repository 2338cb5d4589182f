//! Debug information is what the author's tools, or an enemy, made of it: reading it harms nobody.

use tokio::task::JoinSet;
use typecase_harness::bundles::Bundle;
use typecase_harness::client::{get, send_once};
use typecase_harness::{TestNode, debug_info, eventually, guests};

use crate::bystander::Bystander;

/// Deep enough to overflow eight MiB of stack.
const DEPTH: usize = 100_000;
/// Reading them takes about a second, for each frame of a backtrace.
const LINES: usize = 20_000_000;

#[tokio::test]
async fn a_trap_is_answered_at_once_whatever_its_debug_information() {
    let node = TestNode::start().await;
    let bystander = Bystander::on(&node).await;
    let component = guests::component(&guests::guest("hostile"));
    for (app, component) in
        [("deep", debug_info::nested(&component, DEPTH)), ("long", debug_info::long(&component, LINES))]
    {
        let bundle = Bundle::of(app).component(component).manifest("health = \"/ok\"");
        node.publish_wasm(app, bundle.zip()).await;
        for path in ["trap", "panic"] {
            let answer = node.get(&format!("/{app}/{path}")).await;
            let id = answer.header("x-request-id").to_owned();
            answer.expect_problem(502, "guest-trap");
            // With the names of functions, which are no debug information.
            let entry = node.app_entry(app, &[&id]).await;
            assert!(entry["message"].as_str().unwrap().contains("\n    at "), "{entry}");
        }
    }
    bystander.went_on().await;
}

/// In the health check, too, whose report the publisher waits for.
#[tokio::test]
async fn a_release_that_fails_with_such_is_refused() {
    let node = TestNode::start().await;
    let bystander = Bystander::on(&node).await;
    let component = debug_info::nested(&guests::component(&guests::guest("start-trap")), DEPTH);
    let answer = node.api().publish("deep", component, "").await;
    answer.expect_problem(422, "release-failed");
    bystander.went_on().await;
}

#[tokio::test]
async fn a_failed_health_check_names_the_place() {
    let node = TestNode::start().await;
    let component = guests::component(&guests::guest("hostile"));
    let bundle = Bundle::of("hostile").component(component).manifest("health = \"/trap\"");
    let problem = node.api().publish("hostile", bundle.zip(), "").await.expect_problem(422, "release-failed");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("hostile/src/lib.rs:"), "{detail}");
}

/// A child is asked for it once; then it is known.
#[tokio::test]
async fn many_traps_at_once_all_name_the_place() {
    const TRAPS: usize = 40;
    let node = TestNode::start().await;
    let component = guests::component(&guests::guest("hostile"));
    let bundle = Bundle::of("hostile").component(component).manifest("health = \"/ok\"");
    node.publish_wasm("hostile", bundle.zip()).await;
    let address = node.apps_address();
    let mut clients = JoinSet::new();
    for _ in 0..TRAPS {
        clients.spawn(send_once(address, get(address, "/hostile/trap")));
    }
    while let Some(answer) = clients.join_next().await {
        answer.unwrap().unwrap().expect(502);
    }
    let named = eventually("a report for each", async || {
        let entries = node.api().log("hostile", "").await;
        (entries.len() == TRAPS).then_some(entries)
    });
    for entry in named.await {
        assert!(entry["message"].as_str().unwrap().contains("hostile/src/lib.rs:"), "{entry}");
    }
}

/// To find the place takes a moment; nobody who asks has to ask twice.
#[tokio::test]
async fn a_log_that_is_read_right_after_a_failure_has_it() {
    let node = TestNode::start().await;
    let component = guests::component(&guests::guest("hostile"));
    let bundle = Bundle::of("hostile").component(component).manifest("health = \"/ok\"");
    node.publish_wasm("hostile", bundle.zip()).await;
    node.get("/hostile/trap").await.expect_problem(502, "guest-trap");
    let entries = node.api().log("hostile", "").await;
    let [entry] = &entries[..] else { panic!("{entries:#?}") };
    assert!(entry["message"].as_str().unwrap().contains("hostile/src/lib.rs:"), "{entry}");
}
