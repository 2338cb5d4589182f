//! What operators see: logs, the access log and metrics, joined by the request id.

use serde_json::Value;
use typecase_harness::{TestNode, eventually, guests};

use crate::offender::{self, metric, metric_reaches};
use crate::wire::Wire;

/// The first line of the access log that contains all of these texts, once it is there.
pub async fn access_line(node: &TestNode, texts: &[&str]) -> Value {
    eventually(&format!("a line in the access log with {texts:?}"), async || {
        let log = access_log(node);
        let line = log.lines().find(|line| texts.iter().all(|text| line.contains(text)))?;
        Some(serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
    })
    .await
}

fn access_log(node: &TestNode) -> String {
    let path = node.data().join("log/access.log");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // The last line may be half written.
    text.rsplit_once('\n').map(|(lines, _)| lines.to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn one_request_id_leads_from_the_answer_to_every_log() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "").await;

    let answer = node.get("/hostile/stderr-line?one").await.expect(200);
    let id = answer.header("x-request-id").to_owned();
    assert_eq!(id.len(), 36, "a UUID: {id}");
    let line = node.app_entry("hostile", &["marker-one"]).await;
    assert_eq!(line["request.id"], *id);
    assert_eq!((&line["app.name"], &line["release.number"]), (&"hostile".into(), &1.into()));
    assert_eq!((&line["source"], &line["message"]), (&"stderr".into(), &"marker-one".into()));

    let answer = node.get("/hostile/trap?secret=42").await;
    let id = answer.header("x-request-id").to_owned();
    let text = answer.text();
    assert_eq!(answer.expect_problem(502, "guest-trap")["request_id"], *id);
    for detail in ["wasm", "unreachable", ".rs", "harm", "backtrace"] {
        assert!(!text.contains(detail), "the client is told `{detail}`: {text}");
    }
    // The app's log says where, the node's that it was.
    let entry = node.app_entry("hostile", &[&id, "guest-trap"]).await;
    let message = entry["message"].as_str().unwrap();
    for detail in ["unreachable", "handle", "hostile/src/lib.rs:"] {
        assert!(message.contains(detail), "no `{detail}` in the backtrace: {message}");
    }
    let line = node.log_line(&[&id, "call failed"]).await;
    assert_eq!((&line["app.name"], &line["error.code"]), (&"hostile".into(), &"guest-trap".into()));
    assert_eq!(line["level"], "WARN");
    assert!(!line["message"].as_str().unwrap().contains(".rs"), "{line}");
    assert_eq!(node.log().lines().filter(|line| line.contains(&id)).count(), 1);

    let line = access_line(&node, &[&id]).await;
    assert_eq!((&line["http.status"], &line["http.method"]), (&502.into(), &"GET".into()));
    // Queries may hold what should not be kept.
    assert_eq!(line["http.path"], "/hostile/trap");
    assert!(!access_log(&node).contains("secret"));
    assert_eq!((&line["app.name"], &line["release.number"]), (&"hostile".into(), &1.into()));
    assert_eq!((&line["client.ip"], &line["aborted"]), (&"127.0.0.1".into(), &Value::Null));
    assert_eq!(line["response.bytes"].as_u64(), Some(text.len() as u64));
}

#[tokio::test]
async fn every_request_has_its_line_in_the_access_log() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "timeout_ms = 1000").await;
    node.publish_dir(&guests::example("stream")).await;

    for path in [
        "/hostile/ok",
        "/hostile/status?code=204",
        "/hostile/status?code=304",
        "/hostile/trailers",
        "/stream/bytes?n=300000",
        "/stream/",
        "/stream/events?count=3&interval_ms=1",
        "/nobody",
        "/hostile/never",
        "/hostile/%22%7d%0a\u{fc}",
    ] {
        // Some of these paths are only for byte-wise clients.
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nte: trailers\r\nconnection: close\r\n\r\n");
        crate::wire::exchange(node.apps_address(), request).await;
        let path = path.split('?').next().unwrap();
        let line = access_line(&node, &[&format!("\"http.path\":\"{path}\"")]).await;
        assert_eq!(line["aborted"], Value::Null, "{path}: the whole answer was sent: {line}");
    }
    let method =
        format!("{} /hostile/ok HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "A".repeat(5_000));
    crate::wire::exchange(node.apps_address(), method).await;
    assert_eq!(access_line(&node, &["\"http.method\":\"AAAA"]).await["http.status"], 200);

    // Without its end, the answer is marked.
    crate::wire::exchange(node.apps_address(), "GET /hostile/hang-body HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let line = access_line(&node, &["/hostile/hang-body"]).await;
    assert_eq!((&line["http.status"], &line["aborted"]), (&200.into(), &true.into()));

    // A client that left before there was an answer is no secret either.
    let mut wire = Wire::open(node.apps_address()).await;
    wire.send("GET /hostile/slow?ms=60000 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    metric_reaches(&node, "typecase_instances_live", "hostile", 1.0).await;
    drop(wire);
    let line = access_line(&node, &["/hostile/slow"]).await;
    assert_eq!((&line["http.status"], &line["aborted"]), (&499.into(), &true.into()));

    for line in access_log(&node).lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["duration_ms"].is_number() && line["time"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn metrics_count_what_happened_per_app() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "concurrency = 1\nqueue = 1").await;
    node.publish_wasm("hello", guests::hello()).await;
    for _ in 0..3 {
        node.get("/hello/").await.expect(200);
    }
    for (path, status) in
        [("ok", 200), ("status?code=418", 418), ("trap", 502), ("panic", 502), ("status?code=999", 999)]
    {
        node.get(&format!("/hostile/{path}")).await.expect(status);
    }
    let text = node.admin_get("/metrics").await.expect(200);
    assert!(text.header("content-type").starts_with("text/plain; version=0.0.4"));
    let text = text.text();
    for line in [
        "typecase_requests_total{app=\"hello\",status=\"2xx\"} 3",
        "typecase_requests_total{app=\"hostile\",status=\"2xx\"} 1",
        "typecase_requests_total{app=\"hostile\",status=\"4xx\"} 1",
        // What is beyond 599 is a server's failure for clients.
        "typecase_requests_total{app=\"hostile\",status=\"5xx\"} 3",
        "typecase_call_failures_total{app=\"hostile\",code=\"guest-trap\"} 2",
        "typecase_request_duration_seconds_count{app=\"hello\"} 3",
        "typecase_response_bytes_total{app=\"hello\"} 42",
        "typecase_active_release{app=\"hello\"} 1",
        "typecase_compile_duration_seconds_count{app=\"hello\"} 1",
        "typecase_compile_duration_seconds_count{app=\"hostile\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in:\n{text}");
    }

    // One runs, one waits.
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut wire = Wire::open(node.apps_address()).await;
        wire.send("GET /hostile/never HTTP/1.1\r\nhost: x\r\n\r\n").await;
        clients.push(wire);
    }
    metric_reaches(&node, "typecase_instances_live", "hostile", 1.0).await;
    metric_reaches(&node, "typecase_queue_length", "hostile", 1.0).await;
    drop(clients);
    metric_reaches(&node, "typecase_instances_live", "hostile", 0.0).await;
    metric_reaches(&node, "typecase_queue_length", "hostile", 0.0).await;
    assert_eq!(metric(&node, "typecase_instances_live", "hello").await, Some(0.0));
}
