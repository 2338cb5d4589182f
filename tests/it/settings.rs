//! The cluster's settings on one node: changed by command line and API, in force without a restart, kept, and
//! taken back.

mod cluster;

use bytes::Bytes;
use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use typecase_harness::bundles::Bundle;
use typecase_harness::client::{Connection, get};
use typecase_harness::load::{Kind, Load};
use typecase_harness::{Answer, TestNode, eventually, guests};

use crate::offender;

async fn set(node: &TestNode, assignments: &[&str]) -> Value {
    let mut arguments = vec!["settings", "set", "--json"];
    arguments.extend(assignments);
    run(node, &arguments).await
}

async fn run(node: &TestNode, arguments: &[&str]) -> Value {
    let server = format!("http://{}", node.admin_address());
    let data = node.data().display().to_string();
    let arguments = arguments.iter().copied().chain(["--server", &server, "--data", &data]);
    typecase_harness::command::run(arguments).await.expect(0).json()
}

async fn patch(node: &TestNode, body: &Value) -> Answer {
    node.api().send(Method::PATCH, "/api/v1/settings", Bytes::from(body.to_string())).await
}

/// What a key comes to, and where from.
async fn effective(node: &TestNode, key: &str) -> (Value, Value) {
    let settings = node.api().get("/api/v1/settings").await.expect(200).json();
    let all = settings["effective"].as_array().unwrap();
    let found = all.iter().find(|effective| effective["key"] == key).unwrap();
    (found["value"].clone(), found["origin"].clone())
}

#[tokio::test]
async fn trusted_proxies_change_on_open_connections() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "").await;
    let mut connection = Connection::open(node.apps_address()).await.unwrap();
    let mut seen = async || {
        let mut request = get(node.apps_address(), "/hostile/request");
        request.headers_mut().insert("x-forwarded-for", "203.0.113.9".parse().unwrap());
        connection.send(request).await.unwrap().expect(200).json()["headers"]["x-forwarded-for"].clone()
    };
    assert_eq!(seen().await, json!(["127.0.0.1"]));
    let changed = set(&node, &["ingress.trusted_proxies=10.0.0.0/8,127.0.0.1"]).await;
    assert_eq!((&changed["generation"], &changed["converged"]), (&json!(1), &json!(true)), "{changed}");
    assert_eq!(changed["receipts"][0]["state"], "applied");
    assert_eq!(seen().await, json!(["203.0.113.9, 127.0.0.1"]));
    let unset = run(&node, &["settings", "unset", "ingress.trusted_proxies", "--json"]).await;
    assert_eq!(unset["changes"][0]["to"], Value::Null);
    assert_eq!(seen().await, json!(["127.0.0.1"]));
}

#[tokio::test]
async fn the_log_level_changes_while_the_node_runs() {
    let node = TestNode::start().await;
    let says_debug = async |path: &str| {
        node.admin_get(path).await.expect(404);
        // The line that follows in any case, so that a missing one is not just late.
        let changed = set(&node, &[&format!("drain.grace_ms={}", path.len())]).await;
        let generation = format!("\"settings.generation\":\"{}\"", changed["generation"]);
        node.log_line(&["settings changed", &generation]).await;
        node.log().lines().any(|line| line.contains("\"DEBUG\"") && line.contains(path))
    };
    assert!(!says_debug("/api/v1/quiet").await);
    set(&node, &["log.level=info,typecase=debug"]).await;
    assert!(says_debug("/api/v1/chatty/1").await);
    run(&node, &["settings", "rollback", "0", "--json"]).await;
    assert!(!says_debug("/api/v1/quiet/again").await);
    assert_eq!(effective(&node, "log.level").await, (json!("info"), json!("node")));
}

#[tokio::test]
async fn limits_hold_for_the_next_publish() {
    let node = TestNode::start().await;
    let asks = |memory_mb: u32| {
        let limits = format!("[limits]\nmemory_mb = {memory_mb}");
        Bundle::of("hello").component(guests::hello()).manifest(&limits).zip()
    };
    node.api().publish("hello", asks(64), "").await.expect(200);
    set(&node, &["limits.max_memory_mb=32", "limits.default_memory_mb=16"]).await;
    let refused = node.api().publish("hello", asks(64), "").await.expect_problem(400, "limit-too-high");
    assert!(refused["detail"].as_str().unwrap().contains("maximum of 32"), "{refused}");
    node.api().publish("hello", asks(32), "").await.expect(200);

    // More than the node's own configuration allows.
    set(&node, &["limits.max_memory_mb=4096"]).await;
    node.api().publish("hello", asks(2_000), "").await.expect(200);
    node.get("/hello/").await.expect(200);

    set(&node, &["limits.bundle_mb=1"]).await;
    let large = vec![0; (1 << 20) + 1];
    node.api().publish("hello", large.clone(), "").await.expect_problem(413, "upload-too-large");
    set(&node, &["limits.bundle_mb=2"]).await;
    node.api().publish("hello", large, "").await.expect_problem(400, "not-a-bundle");
}

#[tokio::test]
async fn apps_that_run_take_new_limits_over() {
    let mut node = TestNode::start().await;
    offender::publish(&node, "hostile", "body_mb = 8").await;
    offender::publish_p3(&node, "modern", "").await;
    node.publish_wasm("hello", guests::hello_saying(1)).await;
    let load = Load::on(node.apps_address(), "/hello/").keep_alive(2).fresh(1).start();
    eventually("the load is under way", async || (load.ended(Kind::Fresh) >= 10).then_some(())).await;
    let body_of_2_mb = async |path: &str, status: u16| {
        eventually(&format!("{status} from {path}"), async || {
            let answer = node.send(Method::POST, path, vec![b'.'; 2 << 20]).await;
            (answer.status == status).then_some(())
        })
        .await;
    };
    for path in ["/hostile/request", "/modern/request"] {
        body_of_2_mb(path, 200).await;
    }
    // Below what the one manifest asks for, and what the other gets because it asks for nothing.
    set(&node, &["limits.max_body_mb=1", "limits.default_body_mb=1"]).await;
    for path in ["/hostile/request", "/modern/request"] {
        body_of_2_mb(path, 413).await;
    }
    run(&node, &["settings", "unset", "limits.max_body_mb", "limits.default_body_mb", "--json"]).await;
    for path in ["/hostile/request", "/modern/request"] {
        body_of_2_mb(path, 200).await;
    }
    load.stop().await.assert_no_failures(10);

    set(&node, &["limits.max_body_mb=1", "limits.default_body_mb=1"]).await;
    node.restart().await;
    let refused = node.send(Method::POST, "/hostile/request", vec![b'.'; 2 << 20]).await;
    refused.expect(413);
}

#[tokio::test]
async fn a_stop_takes_the_times_that_are_set_at_that_moment() {
    let mut node = TestNode::builder().config("drain", "delay_ms", 600_000).start().await;
    set(&node, &["drain.delay_ms=1", "drain.grace_ms=2"]).await;
    node.signal(Signal::TERM);
    assert_eq!(node.ended().await.code(), Some(0), "{}", node.log());
    let line = node.log_line(&["\"draining\""]).await;
    assert_eq!((&line["delay_ms"], &line["grace_ms"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn changes_are_compared_kept_and_taken_back() {
    let mut node = TestNode::start().await;
    let first = json!({ "expected": 0, "changes": { "drain.grace_ms": 1_000 }, "note": "slow disks" });
    patch(&node, &first).await.expect(200);
    let problem = patch(&node, &first).await.expect_problem(409, "generation-conflict");
    assert_eq!((&problem["expected_generation"], &problem["found_generation"]), (&json!(0), &json!(1)));
    // Without an expectation it is made from what holds.
    let second = patch(&node, &json!({ "changes": { "drain.grace_ms": "2000", "log.level": "warn" } })).await;
    assert_eq!(second.expect(200).json()["generation"], 2);
    let same = patch(&node, &json!({ "changes": { "log.level": "warn" } })).await.expect(200).json();
    assert_eq!((&same["generation"], &same["unchanged"]), (&json!(2), &json!(true)));

    let refused = node.cli(["settings", "set", "drain.delay=1", "drain.grace_ms=x"]).await.expect(1);
    for text in ["did you mean `drain.delay_ms`?", "from 0 to 3600000"] {
        assert!(refused.stderr.contains(text), "{refused:?}");
    }
    let contradiction = json!({ "changes": { "limits.max_queue": 5, "log.level": "loud" } });
    let problem = patch(&node, &contradiction).await.expect_problem(400, "settings-invalid");
    for text in ["limits.default_queue: 1024 is above limits.max_queue", "log.level: \"loud\""] {
        assert!(problem["detail"].as_str().unwrap().contains(text), "{problem}");
    }

    let history = run(&node, &["settings", "history", "--json"]).await;
    let history = history["history"].as_array().unwrap();
    assert_eq!((history.len(), &history[1]["note"]), (2, &json!("slow disks")));
    assert_eq!(history[1]["changes"], json!([{ "key": "drain.grace_ms", "from": null, "to": 1_000 }]));
    let diff = run(&node, &["settings", "diff", "0", "2", "--json"]).await;
    assert_eq!(diff["changes"].as_array().unwrap().len(), 2);
    let newest = node.cli(["settings", "diff"]).await.expect(0).stdout;
    assert_eq!(newest, "from generation 1 to 2\n  drain.grace_ms: 1000 -> 2000\n  log.level: - -> warn\n");

    let back = run(&node, &["settings", "rollback", "1", "--json"]).await;
    assert_eq!(back["generation"], 3);
    assert_eq!(effective(&node, "drain.grace_ms").await, (json!(1_000), json!("settings")));
    node.cli(["settings", "rollback", "77"]).await.expect(1);

    // In force before the node is ready again.
    node.restart().await;
    let receipts = run(&node, &["settings", "receipts", "--json"]).await;
    assert_eq!((&receipts["generation"], &receipts["converged"]), (&json!(3), &json!(true)), "{receipts}");
    let table = node.cli(["settings"]).await.expect(0).stdout;
    let line = table.lines().find(|line| line.starts_with("drain.grace_ms")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["drain.grace_ms", "1000", "settings"]);
}

#[tokio::test]
async fn of_many_changes_at_once_each_is_made_or_refused() {
    let node = TestNode::start().await;
    for expected in 0..20 {
        let race = |grace_ms: u64| {
            let body = json!({ "expected": expected, "changes": { "drain.grace_ms": grace_ms } });
            let node = &node;
            async move { (patch(node, &body).await, grace_ms) }
        };
        let (one, two) = tokio::join!(race(2 * expected + 1), race(2 * expected + 2));
        let (won, lost) = if one.0.status == 200 { (one, two) } else { (two, one) };
        won.0.expect(200);
        lost.0.expect_problem(409, "generation-conflict");
        eventually("what the winner asked for", async || {
            (effective(&node, "drain.grace_ms").await.0 == json!(won.1)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn only_administrators_change_settings() {
    let node = TestNode::start().await;
    let token = node.cli(["token", "create", "p", "--role", "publisher"]).await.expect(0).stdout;
    let publisher = node.api().with_token(Some(token.trim()));
    publisher.get("/api/v1/settings").await.expect(200);
    let body = Bytes::from(json!({ "changes": {} }).to_string());
    publisher.send(Method::PATCH, "/api/v1/settings", body).await.expect_problem(403, "role-missing");
    publisher
        .post("/api/v1/settings/rollback", &json!({ "to": 0 }))
        .await
        .expect_problem(403, "role-missing");
}
