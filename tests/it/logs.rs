//! The logs of apps: what they say, why they fail, and who hears of it. `follow.rs` is about logs that go on, `limits.rs`
//! about those that are too much.

pub mod follow;
mod limits;

use serde_json::Value;
use typecase_harness::{TestNode, guests};

use crate::offender;

const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "critical"];

/// What tests compare of an entry.
fn said(entry: &Value) -> (&str, &str, &str) {
    let text = |field: &str| entry[field].as_str().unwrap_or_default();
    (text("source"), text("level"), text("message"))
}

/// The entries of one request that says something, all of them.
async fn entries_of(node: &TestNode, app: &str, id: &str) -> Vec<Value> {
    node.app_entry(app, &[id, "critical"]).await;
    let mut lines = node.api().log(app, &format!("?request={id}")).await;
    lines.retain(|line| line["notice"].is_null());
    lines
}

#[tokio::test]
async fn what_an_app_says_is_in_its_log() {
    let node = TestNode::builder().config("node", "name", "first").start().await;
    offender::publish(&node, "old", "").await;
    offender::publish_p3(&node, "modern", "").await;
    for app in ["old", "modern"] {
        let id = node.get(&format!("/{app}/say?{app}")).await.expect(200).header("x-request-id").to_owned();
        let entries = entries_of(&node, app, &id).await;
        let (out, err) = (format!("out-{app}"), format!("err-{app}"));
        let messages = LEVELS.map(|level| format!("{level}-{app}"));
        let mut expected = vec![("stdout", "info", out.as_str()), ("stderr", "warn", err.as_str())];
        expected.extend(LEVELS.iter().zip(&messages).map(|(level, text)| ("logging", *level, text.as_str())));
        assert_eq!(entries.iter().map(said).collect::<Vec<_>>(), expected);
        for entry in &entries {
            assert_eq!((&entry["app.name"], &entry["request.id"]), (&app.into(), &id.clone().into()));
            assert_eq!((&entry["release.number"], &entry["node.name"]), (&1.into(), &"first".into()));
            let context = if entry["source"] == "logging" { "guest".into() } else { Value::Null };
            assert_eq!(entry["context"], context);
        }
        let times: Vec<&str> = entries.iter().map(|entry| entry["time"].as_str().unwrap()).collect();
        assert!(times.is_sorted() && times[0].ends_with('Z'), "{times:?}");

        // Each way to ask for less.
        for (query, count) in [
            (format!("?request={}", &id[id.len() - 8..]), 8),
            (format!("?request={id}&level=warn"), 4),
            ("?tail=3".to_owned(), 3),
            ("?tail=0".to_owned(), 0),
            ("?release=2".to_owned(), 0),
            ("?since=1h".to_owned(), 8),
            (format!("?since={}", times[5]), 3),
            ("?since=2099-01-01T00:00:00Z".to_owned(), 0),
            ("?node=first".to_owned(), 8),
        ] {
            assert_eq!(node.api().log(app, &query).await.len(), count, "{query}");
        }
    }
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "").await;
    for (path, status, code) in [
        ("hostile/logs?level=loud", 400, "query-invalid"),
        ("hostile/logs?since=yesterday", 400, "query-invalid"),
        ("hostile/logs?tail=10001", 400, "query-invalid"),
        ("hostile/logs?request=abc", 400, "query-invalid"),
        ("hostile/logs?follow=maybe", 400, "query-invalid"),
        ("hostile/logs?scope=all", 400, "query-invalid"),
        ("hostile/logs?colour=red", 400, "query-invalid"),
        ("hostile/logs?node=nobody", 404, "not-found"),
        ("nobody/logs", 404, "not-found"),
        ("Hostile/logs", 400, "app-name-malformed"),
    ] {
        node.api().get(&format!("/api/v1/apps/{path}")).await.expect_problem(status, code);
    }
    // What nodes show each other takes their signature, and a token is none.
    let anybody = node.api().with_token(None);
    anybody.get("/api/v1/apps/hostile/logs?scope=node").await.expect_problem(401, "token-invalid");
    node.cli(["logs", "nobody"]).await.expect(1);
    node.cli(["logs", "hostile", "--level", "loud"]).await.expect(2);
    node.cli(["logs", "hostile", "--since", "yesterday"]).await.expect(2);
}

/// Each kind of failure, with what its author should read and a place in the source where there is one.
#[tokio::test]
async fn a_crash_is_found_by_its_request_id() {
    let node = TestNode::start().await;
    let limits = "memory_mb = 32\ncpu_ms = 300\ntimeout_ms = 1500";
    offender::publish(&node, "old", limits).await;
    offender::publish_p3(&node, "modern", limits).await;
    for (app, path, code, first_line, place) in [
        ("old", "panic", "guest-trap", "panicked at hostile/src/lib.rs:", "hostile/src/lib.rs:"),
        ("old", "trap", "guest-trap", "aborted without a word (wasm `unreachable`)", "hostile/src/lib.rs:"),
        ("old", "recurse", "guest-trap", "call stack exhausted", "hostile/src/harm.rs:"),
        (
            "old",
            "memory",
            "memory-limit",
            "out of memory, the limit is 32 MiB (`memory_mb`)",
            "hostile/src/harm.rs:",
        ),
        (
            "old",
            "loop",
            "cpu-limit",
            "computed for longer than its limit of 300 ms (`cpu_ms`)",
            "hostile/src/harm.rs:",
        ),
        ("old", "never", "guest-timeout", "no response within 1500 ms (`timeout_ms`)", ""),
        ("old", "return-without-response", "no-response", "returned without a response", ""),
        ("modern", "panic", "guest-trap", "panicked at hostile-p3/src/lib.rs:", "hostile-p3/src/lib.rs:"),
        (
            "modern",
            "trap",
            "guest-trap",
            "aborted without a word (wasm `unreachable`)",
            "hostile-p3/src/lib.rs:",
        ),
        (
            "modern",
            "memory",
            "memory-limit",
            "out of memory, the limit is 32 MiB (`memory_mb`)",
            "hostile-p3/src/lib.rs:",
        ),
        ("modern", "never", "guest-timeout", "no response within 1500 ms (`timeout_ms`)", ""),
        ("modern", "error", "no-response", "answered with the error", ""),
    ] {
        let answer = node.get(&format!("/{app}/{path}")).await;
        let id = answer.header("x-request-id").to_owned();
        assert_eq!(answer.json()["code"], code, "{app}/{path}: {answer:?}");
        node.app_entry(app, &[&id]).await;
        let entries = node.api().log(app, &format!("?request={id}")).await;
        // One story, not one told in pieces.
        let [entry] = &entries[..] else { panic!("{app}/{path}: {entries:#?}") };
        assert_eq!((&entry["level"], &entry["source"]), (&"error".into(), &"host".into()));
        assert_eq!(entry["error.code"], code);
        let message = entry["message"].as_str().unwrap();
        assert!(message.starts_with(first_line), "{app}/{path}: {message}");
        let (_, frames) = message.split_once('\n').unwrap_or_default();
        assert!(frames.contains(place), "{app}/{path}: no {place} in {frames}");
        assert!(!frames.contains("/rustc/") && !frames.contains("export_handle"), "{app}/{path}: {frames}");

        let shown = node.cli(["logs", app, "--request", &id]).await.expect(0).stdout;
        assert!(shown.contains(&format!("error r1 {} {first_line}", &id[id.len() - 8..])), "{shown}");
        assert_eq!(shown.lines().filter(|line| !line.starts_with("    ")).count(), 1, "{shown}");
    }
    // What the guest said last is the first line, and nowhere else.
    let answer = node.get("/old/panic").await;
    let entry = node.app_entry("old", &[answer.header("x-request-id")]).await;
    assert!(entry["message"].as_str().unwrap().contains(": a guest panics on purpose\n"), "{entry}");
    let all = node.api().log("old", "?tail=10000").await;
    assert!(!all.iter().any(|entry| entry["source"] == "stderr"), "{all:#?}");
}

#[tokio::test]
async fn a_javascript_error_shows_its_stack() {
    let node = TestNode::start().await;
    node.publish_dir(&guests::example("hello-js")).await;
    let answer = node.get("/hello-js/fail").await.expect(500);
    let id = answer.header("x-request-id").to_owned();
    let entry = node.app_entry("hello-js", &[&id]).await;
    assert_eq!((&entry["level"], &entry["source"]), (&"error".into(), &"stderr".into()));
    let message = entry["message"].as_str().unwrap();
    assert!(message.starts_with("Error while running request handler: no greeting"), "{message}");
    assert!(message.contains("\n  fail@app.js:"), "{message}");
    assert_eq!(node.api().log("hello-js", &format!("?request={id}")).await.len(), 1);
}

#[tokio::test]
async fn the_command_prints_text_for_people_and_lines_for_programs() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "").await;
    let nothing = node.cli(["logs", "hostile"]).await.expect(0);
    assert_eq!(nothing.stdout, "");
    assert!(nothing.stderr.starts_with("note: no entries yet"), "{}", nothing.stderr);

    let id = node.get("/hostile/say?x").await.expect(200).header("x-request-id").to_owned();
    entries_of(&node, "hostile", &id).await;
    let text = node.cli(["logs", "hostile", "--level", "warn"]).await.expect(0).stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    let end = format!("warn  r1 {} guest: warn-x", &id[id.len() - 8..]);
    // The time is the reader's own; there are no colours where nobody looks.
    assert!(lines[1].ends_with(&end) && lines[1].as_bytes()[2] == b':', "{text}");
    assert!(!text.contains('\u{1b}'));
    let json = node.cli(["logs", "hostile", "--tail", "2", "--json"]).await.expect(0).stdout;
    let entries: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries.iter().map(|entry| said(entry).1).collect::<Vec<_>>(), ["error", "critical"]);
    let none = node.cli(["logs", "hostile", "--release", "7"]).await.expect(0);
    assert!(none.stdout.is_empty() && none.stderr.contains("no entry fits"), "{none:?}");
}

/// The node's own log shows what apps write when it is told to, and else that calls failed.
#[tokio::test]
async fn an_operator_may_see_it_all_in_one_place() {
    let node = TestNode::builder().config("log", "echo_apps", "always").start().await;
    offender::publish(&node, "hostile", "").await;
    node.get("/hostile/say?echo").await.expect(200);
    for (text, level) in [("out-echo", "INFO"), ("err-echo", "WARN"), ("critical-echo", "ERROR")] {
        let line = node.log_line(&[text]).await;
        assert_eq!((&line["level"], &line["target"]), (&level.into(), &"guest".into()));
    }
    node.get("/hostile/panic").await.expect(502);
    let line = node.log_line(&["on purpose"]).await;
    assert!(line["message"].as_str().unwrap().contains("hostile/src/lib.rs:"), "{line}");
}
