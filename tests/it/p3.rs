//! Components of WASI 0.3: the same promises, on the host's other road.

use typecase_harness::client::{get, send_once};
use typecase_harness::{TestNode, eventually, guests};

use crate::bystander::Bystander;
use crate::offender::{self, metric, metric_reaches};
use crate::wire::{Wire, exchange};

const LIMITS: &str = "memory_mb = 32\ncpu_ms = 300\ntimeout_ms = 1500";

#[tokio::test]
async fn harm_is_answered_and_logged_once() {
    let node = TestNode::start().await;
    for (app, limits) in [("fresh", LIMITS.to_owned()), ("reused", format!("{LIMITS}\nreuse = 100"))] {
        offender::publish_p3(&node, app, &limits).await;
        let bystander = Bystander::on(&node).await;
        let mut failures = 0.0;
        for (path, status, code) in [
            ("ok", 200, ""),
            ("loop", 504, "cpu-limit"),
            ("ok", 200, ""),
            ("memory", 502, "memory-limit"),
            ("trap", 502, "guest-trap"),
            ("ok", 200, ""),
            ("error", 502, "no-response"),
            ("never", 504, "guest-timeout"),
            ("ok", 200, ""),
        ] {
            let answer = node.get(&format!("/{app}/{path}")).await;
            if status == 200 {
                assert_eq!(answer.expect(200).text(), "ok");
                continue;
            }
            let id = answer.header("x-request-id").to_owned();
            answer.expect_problem(status, code);
            let line = node.log_line(&[&id, "call failed"]).await;
            assert_eq!((&line["error.code"], &line["app.name"]), (&code.into(), &app.into()));
            if code == "guest-trap" {
                let entry = node.app_entry(app, &[&id, code]).await;
                let message = entry["message"].as_str().unwrap();
                assert!(message.contains("hostile-p3/src/lib.rs:"), "no place in the backtrace: {message}");
            }
            failures += 1.0;
            let counted = metric(&node, "typecase_call_failures_total", app).await;
            assert_eq!(counted, Some(failures), "{app}/{path} counts once");
        }
        bystander.went_on().await;
    }
}

#[tokio::test]
async fn a_guest_learns_scheme_host_and_path() {
    let node = TestNode::builder().config("ingress", "trusted_proxies", vec!["127.0.0.1"]).start().await;
    offender::publish_p3(&node, "modern", "").await;
    let mut request = get(node.apps_address(), "/modern/request?a=b");
    request.headers_mut().insert("host", "shop.example".parse().unwrap());
    request.headers_mut().insert("x-forwarded-proto", "https".parse().unwrap());
    let seen = send_once(node.apps_address(), request).await.unwrap().expect(200).text();
    for text in ["Get", "Https", "\"shop.example\"", "\"/request?a=b\"", "x-forwarded-prefix: /modern"] {
        assert!(seen.contains(text), "no {text} in {seen}");
    }
    let absolute = "GET http://other.example/modern/request HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let seen = exchange(node.apps_address(), absolute).await;
    assert!(seen.contains("\"other.example\"") && seen.contains("Http"), "{seen}");
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_instance() {
    let node = TestNode::start().await;
    offender::publish_p3(&node, "fresh", "timeout_ms = 600000").await;
    offender::publish_p3(&node, "reused", "timeout_ms = 600000\nreuse = 100").await;
    for app in ["fresh", "reused"] {
        for request in [
            format!("GET /{app}/never HTTP/1.1\r\nhost: x\r\n\r\n"),
            format!("GET /{app}/hang-body HTTP/1.1\r\nhost: x\r\n\r\n"),
            format!("GET /{app}/stream?count=100000&interval_ms=20 HTTP/1.1\r\nhost: x\r\n\r\n"),
            format!("POST /{app}/length HTTP/1.1\r\nhost: x\r\ncontent-length: 9000\r\n\r\nabc"),
        ] {
            let mut wire = Wire::open(node.apps_address()).await;
            wire.send(&request).await;
            metric_reaches(&node, "typecase_instances_live", app, 1.0).await;
            drop(wire);
            metric_reaches(&node, "typecase_instances_live", app, 0.0).await;
        }
        node.get(&format!("/{app}/ok")).await.expect(200);
    }
}

#[tokio::test]
async fn a_stream_goes_on_when_its_release_is_replaced() {
    let node = TestNode::start().await;
    offender::publish_p3(&node, "modern", "").await;
    let mut wire = Wire::open(node.apps_address()).await;
    wire.send("GET /modern/stream?count=60&interval_ms=50 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    wire.read_until("data: 1\n").await;
    node.publish_wasm("modern", guests::hello_saying(2)).await;
    eventually("the next release serves", async || {
        (node.get("/modern/").await.expect(200).text() == "release 00002\n").then_some(())
    })
    .await;
    let rest = wire.read_to_end().await;
    assert!(rest.contains("data: 60\n") && rest.ends_with("0\r\n\r\n"), "{rest}");
}

#[tokio::test]
async fn trailers_reach_the_client() {
    let node = TestNode::start().await;
    offender::publish_p3(&node, "modern", "").await;
    let request = "GET /modern/trailers HTTP/1.1\r\nhost: x\r\nte: trailers\r\nconnection: close\r\n\r\n";
    let answer = exchange(node.apps_address(), request).await;
    assert!(answer.ends_with("0\r\nx-checksum: 42\r\n\r\n"), "{answer}");
}
