//! Each limit of a manifest, reached: the answer names it, and other apps notice nothing.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use typecase_harness::bundles::Bundle;
use typecase_harness::client::{Connection, get};
use typecase_harness::{TestNode, eventually, guests};

use crate::bystander::Bystander;
use crate::offender;
use crate::wire::{Wire, answers, status};

const MB: usize = 1024 * 1024;

/// The client sends all of it, without looking, as many do; the answer must still arrive.
#[tokio::test]
async fn a_body_above_body_mb_is_answered_413() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "body_mb = 1").await;
    offender::publish_p3(&node, "modern", "body_mb = 1").await;
    let bystander = Bystander::on(&node).await;
    for path in ["/hostile/request", "/modern/length", "/hostile/ok"] {
        for chunked in [false, true] {
            let (length, start, end) = match chunked {
                true => ("transfer-encoding: chunked".to_owned(), "100000\r\n", "\r\n"),
                false => (format!("content-length: {}", 24 * MB), "", ""),
            };
            let mut wire = Wire::open(node.apps_address()).await;
            wire.send(format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{length}\r\n\r\n"))
                .await;
            for _ in 0..24 {
                wire.send(start).await;
                wire.send(vec![b'.'; MB]).await;
                wire.send(end).await;
            }
            if chunked {
                wire.send("0\r\n\r\n").await;
            }
            let answer = wire.read_to_end().await;
            // Who never asks for the body is not told that it was too large, unless that was announced.
            let expected = if path == "/hostile/ok" && chunked { 200 } else { 413 };
            assert_eq!(
                (status(&answer), answers(&answer)),
                (expected, 1),
                "{path}, chunked: {chunked}: {answer}"
            );
            let names_limit = answer.contains("body-too-large") && answer.contains("1 MiB");
            assert_eq!(names_limit, expected == 413, "{answer}");
        }
    }
    let fits = node.send(Method::POST, "/hostile/request", vec![b'.'; MB]).await.expect(200);
    assert_eq!(fits.json()["body_length"], MB);
    // Nobody there wants it either, and the answer arrives.
    node.send(Method::POST, "/nowhere", vec![b'.'; 8 * MB]).await.expect_problem(404, "app-not-found");
    bystander.went_on().await;
}

#[tokio::test]
async fn beyond_concurrency_and_queue_the_answer_is_503() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "concurrency = 2\nqueue = 3\ntimeout_ms = 20000").await;
    offender::publish_p3(&node, "modern", "concurrency = 2\nqueue = 3\ntimeout_ms = 20000").await;
    offender::publish_p3(&node, "reused", "concurrency = 2\nqueue = 3\ntimeout_ms = 20000\nreuse = 100")
        .await;
    let bystander = Bystander::on(&node).await;
    let address = node.apps_address();
    for app in ["hostile", "modern", "reused"] {
        let mut clients = JoinSet::new();
        for _ in 0..30 {
            clients.spawn(async move {
                let mut connection = Connection::open(address).await.unwrap();
                connection.send(get(address, &format!("/{app}/slow?ms=1000"))).await.unwrap()
            });
        }
        let mut served = 0;
        while let Some(answer) = clients.join_next().await {
            let answer = answer.unwrap();
            if answer.status == 200 {
                served += 1;
                continue;
            }
            assert_eq!(answer.header("retry-after"), "1", "{answer:?}");
            answer.expect_problem(503, "overloaded");
        }
        // Two and three, and whoever came so late that there was room again.
        assert!((5..=20).contains(&served), "{app} served {served} of 30 at once");
        node.get(&format!("/{app}/ok")).await.expect(200);
    }
    bystander.went_on().await;
}

#[tokio::test]
async fn who_waits_too_long_in_the_queue_is_told_to_come_back() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "concurrency = 1\nqueue = 5\ntimeout_ms = 1000").await;
    let mut stuck = Wire::open(node.apps_address()).await;
    // It is never idle for long enough to be ended.
    stuck.send("GET /hostile/endless-body HTTP/1.1\r\nhost: x\r\n\r\n").await;
    offender::metric_reaches(&node, "typecase_instances_live", "hostile", 1.0).await;
    let answer = node.get("/hostile/ok").await;
    assert_eq!(answer.header("retry-after"), "1");
    answer.expect_problem(503, "overloaded");
    drop(stuck);
    node.get("/hostile/ok").await.expect(200);
}

#[tokio::test]
async fn memory_cpu_and_time_end_where_the_manifest_says() {
    let node = TestNode::start().await;
    let limits = "memory_mb = 32\ncpu_ms = 300\ntimeout_ms = 1500";
    offender::publish(&node, "hostile", limits).await;
    offender::publish_p3(&node, "modern", limits).await;
    let bystander = Bystander::on(&node).await;
    for (path, status, code) in [
        ("/hostile/alloc?mb=8", 200, ""),
        ("/hostile/alloc?mb=64", 502, "memory-limit"),
        ("/hostile/memory", 502, "memory-limit"),
        ("/modern/memory", 502, "memory-limit"),
        ("/hostile/cpu?ms=50", 200, ""),
        ("/hostile/cpu?ms=30000", 504, "cpu-limit"),
        ("/hostile/loop", 504, "cpu-limit"),
        ("/modern/cpu?ms=50", 200, ""),
        ("/modern/loop", 504, "cpu-limit"),
        ("/hostile/slow?ms=100", 200, ""),
        ("/hostile/slow?ms=60000", 504, "guest-timeout"),
        ("/hostile/never", 504, "guest-timeout"),
        ("/modern/never", 504, "guest-timeout"),
    ] {
        let answer = node.get(path).await;
        if status == 200 {
            answer.expect(200);
        } else {
            assert_eq!(answer.expect_problem(status, code)["owner"], "guest", "{path}");
        }
    }
    bystander.went_on().await;
}

/// Time counts while a guest computes, and a stream may go on for as long as its pieces come.
#[tokio::test]
async fn waiting_is_not_computing() {
    let node = TestNode::start().await;
    let limits = "cpu_ms = 500\ntimeout_ms = 1000";
    offender::publish_p3(&node, "modern", limits).await;
    let component = guests::component(&guests::example("stream"));
    let stream = typecase_harness::bundles::Bundle::of("stream").component(component);
    node.publish_wasm("stream", stream.manifest(&format!("health = \"/bytes\"\n[limits]\n{limits}")).zip())
        .await;
    for path in ["/stream/events", "/modern/stream"] {
        // Far more pauses than there are slices in the guest's computing time, and longer than its time-out.
        let events = node.get(&format!("{path}?count=150&interval_ms=15")).await.expect(200).text();
        assert_eq!(events.matches("data: ").count(), 150, "{path} was cut off");
    }
    // A client that takes its time to send is no guest that computes.
    let mut wire = Wire::open(node.apps_address()).await;
    wire.send("POST /stream/echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 120\r\n\r\n")
        .await;
    for _ in 0..120 {
        wire.send(".").await;
        wire.0.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let echoed = wire.read_to_end().await;
    assert!(echoed.matches('.').count() >= 120, "{echoed}");
}

#[tokio::test]
async fn an_instance_serves_one_request_unless_the_manifest_says_more() {
    let node = TestNode::start().await;
    offender::publish(&node, "fresh", "").await;
    offender::publish(&node, "reused", "reuse = 5").await;
    offender::publish_p3(&node, "modern", "").await;
    offender::publish_p3(&node, "modern-reused", "reuse = 5").await;
    let address = node.apps_address();
    for (app, most) in [("fresh", 1), ("reused", 5), ("modern", 1), ("modern-reused", 5)] {
        // On one connection: instances of 0.3 stay on the thread that serves it.
        let mut connection = Connection::open(address).await.unwrap();
        let mut counts = Vec::new();
        for _ in 0..20 {
            let answer = connection.send(get(address, &format!("/{app}/count"))).await.unwrap().expect(200);
            counts.push(answer.text().parse::<u32>().unwrap());
        }
        // Now and then an instance is not back in time for the next request, which then gets a fresh one.
        assert_eq!(counts.iter().max(), Some(&most), "{app}: {counts:?}");
    }
    for app in ["reused", "modern-reused"] {
        // A trap ends its instance, not the app.
        let mut connection = Connection::open(address).await.unwrap();
        for _ in 0..5 {
            let trapped = connection.send(get(address, &format!("/{app}/trap"))).await.unwrap();
            trapped.expect_problem(502, "guest-trap");
            let next = connection.send(get(address, &format!("/{app}/count"))).await.unwrap().expect(200);
            assert!(("1"..="5").contains(&next.text().as_str()), "{app}: {next:?}");
        }
        // Each request's lines carry its own id.
        for marker in ["a", "b"] {
            let answer = node.get(&format!("/{app}/stderr-line?{app}-{marker}")).await.expect(200);
            let line = node.app_entry(app, &[&format!("marker-{app}-{marker}")]).await;
            assert_eq!(line["request.id"], *answer.header("x-request-id"), "{app}");
        }
    }
}

#[tokio::test]
async fn the_nodes_own_limit_holds_for_all_apps_together() {
    let node = TestNode::builder().config("limits", "instances_max", 4).start().await;
    for app in ["one", "two"] {
        offender::publish(&node, app, "concurrency = 4\nqueue = 2\ntimeout_ms = 30000").await;
    }
    let address = node.apps_address();
    let mut stuck = Vec::new();
    for _ in 0..4 {
        let mut wire = Wire::open(address).await;
        wire.send("GET /one/never HTTP/1.1\r\nhost: x\r\n\r\n").await;
        stuck.push(wire);
    }
    offender::metric_reaches(&node, "typecase_instances_live", "one", 4.0).await;
    let mut waiting = JoinSet::new();
    for _ in 0..2 {
        waiting.spawn(async move {
            Connection::open(address).await.unwrap().send(get(address, "/two/ok")).await.unwrap()
        });
    }
    offender::metric_reaches(&node, "typecase_queue_length", "two", 2.0).await;
    node.get("/two/ok").await.expect_problem(503, "overloaded");
    // What waits gets its turn when there is room.
    drop(stuck);
    while let Some(answer) = waiting.join_next().await {
        assert_eq!(answer.unwrap().expect(200).body, Bytes::from("ok"));
    }
}

/// The pool has room for a number of memories, too: a component of many modules uses it up before the requests are many.
#[tokio::test]
async fn a_pool_without_room_is_an_overload_and_no_failure() {
    const MODULES: usize = 8;
    let node = TestNode::builder().config("limits", "instances_max", 8).start().await;
    let bystander = Bystander::on(&node).await;
    for (guest, app) in [("hostile", "large"), ("hostile-p3", "modern")] {
        let text = wasmprinter::print_bytes(guests::component(&guests::guest(guest))).unwrap();
        let (start, end) = text.rsplit_once(')').unwrap();
        let more: String = (0..MODULES)
            .map(|n| {
                format!("(core module $more{n} (memory 1)) (core instance $more{n} (instantiate $more{n}))\n")
            })
            .collect();
        let component = wat::parse_str(format!("{start}{more}){end}")).unwrap();
        let limits = "concurrency = 8\nqueue = 1\ntimeout_ms = 600000";
        let bundle =
            Bundle::of(app).component(component).manifest("health = \"/ok\"\n[limits]").manifest(limits);
        node.publish_wasm(app, bundle.zip()).await;
        let mut stuck = Vec::new();
        // Two memories for each of eleven places: enough for two of these instances, and not for eight.
        for _ in 0..8 {
            let mut wire = Wire::open(node.apps_address()).await;
            wire.send(format!("GET /{app}/never HTTP/1.1\r\nhost: x\r\n\r\n")).await;
            stuck.push(wire);
        }
        let refused = eventually("a request without room", async || {
            let answer = node.get(&format!("/{app}/ok")).await;
            (answer.status != 200).then_some(answer)
        })
        .await;
        assert_eq!(refused.header("retry-after"), "1", "{app}");
        refused.expect_problem(503, "overloaded");
        drop(stuck);
        offender::metric_reaches(&node, "typecase_instances_live", app, 0.0).await;
        node.get(&format!("/{app}/ok")).await.expect(200);
    }
    bystander.went_on().await;
}
