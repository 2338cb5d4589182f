//! HTTP on the app port, byte by byte: what is refused, what is bounded, and what must arrive.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use typecase_harness::bundles::Bundle;
use typecase_harness::{DEADLINE, TestNode, eventually, guests};

use crate::bystander::Bystander;
use crate::offender::{self, anonymous_mb, metric, metric_reaches};
use crate::wire::{Wire, answers, exchange, status};

const MB: usize = 1024 * 1024;

/// Nothing after a request that is refused may be taken for another request.
#[tokio::test]
async fn malformed_and_smuggled_requests_get_one_refusal() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "").await;
    let bystander = Bystander::on(&node).await;
    let long = "a".repeat(70_000);
    let many: String = (0..150).map(|n| format!("x-{n}: a\r\n")).collect();
    let post = |headers: &str| format!("POST /hostile/request HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    let get =
        |headers: &str| format!("GET /hostile/ok HTTP/1.1\r\nhost: x\r\n{headers}connection: close\r\n\r\n");
    let cases = [
        ("two lengths", 400, post("content-length: 3\r\ncontent-length: 5\r\n")),
        ("a list of lengths", 400, post("content-length: 3, 3\r\n")),
        ("a length with a sign", 400, post("content-length: +3\r\n")),
        ("a negative length", 400, post("content-length: -1\r\n")),
        ("a length beyond numbers", 400, post("content-length: 99999999999999999999999\r\n")),
        ("an unknown coding", 400, post("transfer-encoding: xchunked\r\n")),
        ("chunked not last", 400, post("transfer-encoding: chunked, identity\r\n")),
        ("two codings", 400, post("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n")),
        ("a tab before the coding", 400, post("transfer-encoding: \x0bchunked\r\n")),
        ("a space before the colon", 400, post("transfer-encoding : chunked\r\n")),
        (
            "chunks in HTTP/1.0",
            400,
            "POST /hostile/request HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".into(),
        ),
        ("a folded header", 400, get("x-a: b\r\n c\r\n")),
        ("a bare CR", 400, get("x-a: b\rc\r\n")),
        ("a zero byte", 400, get("x-a: b\0c\r\n")),
        ("no host", 400, "GET /hostile/ok HTTP/1.1\r\nconnection: close\r\n\r\n".into()),
        ("no host, at no app", 400, "GET /nowhere/ HTTP/1.1\r\nconnection: close\r\n\r\n".into()),
        ("two hosts", 400, get("host: y\r\n")),
        (
            "a user in the host",
            400,
            "GET /hostile/ok HTTP/1.1\r\nhost: a@b\r\nconnection: close\r\n\r\n".into(),
        ),
        (
            "a path in the host",
            400,
            "GET /hostile/ok HTTP/1.1\r\nhost: a/b\r\nconnection: close\r\n\r\n".into(),
        ),
        ("no version", 400, "GET /hostile/ok\r\n\r\n".into()),
        ("HTTP/2.0 by name", 400, "GET /hostile/ok HTTP/2.0\r\nhost: x\r\n\r\n".into()),
        ("HTTP/1.2", 400, "GET /hostile/ok HTTP/1.2\r\nhost: x\r\n\r\n".into()),
        ("TLS", 400, "\x16\x03\x01\x02\0\x01\0\x01".into()),
        ("a proxy's request", 405, "CONNECT x:80 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".into()),
        ("the server itself", 404, "OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".into()),
        ("a long header", 431, get(&format!("x-a: {long}\r\n"))),
        (
            "a long header without end",
            431,
            format!("GET /hostile/ok HTTP/1.1\r\nhost: x\r\nx-a: {long}{long}"),
        ),
        ("many headers", 431, get(&many)),
        ("a long path", 431, format!("GET /hostile/{long} HTTP/1.1\r\nhost: x\r\n\r\n")),
        // A server may take the coding, if it closes the connection: then nothing can follow.
        ("coding and length", 200, post("content-length: 4\r\ntransfer-encoding: chunked\r\n")),
        ("length and coding", 200, post("transfer-encoding: chunked\r\ncontent-length: 4\r\n")),
    ];
    for (name, expected, request) in cases {
        let smuggled = "0\r\n\r\nGET /hostile/ok HTTP/1.1\r\nhost: x\r\n\r\n";
        let answer = exchange(node.apps_address(), request + smuggled).await;
        assert_eq!((status(&answer), answers(&answer)), (expected, 1), "{name}: {answer}");
    }
    let raw = exchange(node.apps_address(), b"GET /hostile/\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(status(&raw), 400, "a path that is no UTF-8: {raw}");
    bystander.went_on().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_in_the_guest_and_ends_the_connection() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "").await;
    let head = "POST /hostile/request HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let extension = format!("3;{}\r\nabc\r\n0\r\n\r\n", "a".repeat(100_000));
    for (name, body) in [
        ("a chunk's size is no number", "zz\r\nabc\r\n0\r\n\r\n"),
        ("a chunk's size is too large", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        ("a chunk is longer than it says", "3\r\nabcX0\r\n\r\n"),
        ("a chunk's line ends with LF only", "3\nabc\n0\n\n"),
        ("a chunk's extension is long", &extension),
    ] {
        let answer =
            exchange(node.apps_address(), format!("{head}{body}GET /hostile/ok HTTP/1.1\r\n\r\n")).await;
        assert_eq!((status(&answer), answers(&answer)), (200, 1), "{name}: {answer}");
        assert!(answer.contains("body_error"), "{name}: {answer}");
    }
    let mut wire = Wire::open(node.apps_address()).await;
    wire.send("POST /hostile/request HTTP/1.1\r\nhost: x\r\ncontent-length: 300\r\n\r\nabc").await;
    wire.0.shutdown().await.unwrap();
    assert!(wire.read_to_end().await.contains("body_error"), "an upload that is cut is not a whole one");
    node.get("/hostile/ok").await.expect(200);
}

#[tokio::test]
async fn old_and_unusual_but_correct_requests_are_answered() {
    let node = TestNode::start().await;
    node.publish_dir(&guests::example("hello")).await;
    node.publish_dir(&guests::example("stream")).await;
    offender::publish(&node, "hostile", "").await;
    let address = node.apps_address();

    let old = exchange(address, "GET /hello/ HTTP/1.0\r\nhost: x\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200") && old.ends_with("Hello, world!\n"), "{old}");
    let hostless = exchange(address, "GET /hello/ HTTP/1.0\r\n\r\n").await;
    assert_eq!(status(&hostless), 400, "a component cannot do without a host: {hostless}");

    let get = "GET /hello/ HTTP/1.1\r\nhost: x\r\n\r\n";
    let last = "GET /hello/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let pipelined = exchange(address, format!("{get}{get}{get}{last}")).await;
    assert_eq!(pipelined.matches("Hello, world!\n").count(), 4, "{pipelined}");

    let absolute =
        "GET http://shop.example/hostile/request?a=b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let absolute = exchange(address, absolute).await;
    assert!(absolute.contains(r#""authority":"shop.example""#), "{absolute}");
    assert!(absolute.contains(r#""path_with_query":"/request?a=b""#), "{absolute}");

    // Upgrades are not offered: the request is one like others.
    let upgrade =
        "GET /hello/ HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n";
    assert_eq!(status(&exchange(address, upgrade).await), 200);

    for (head, length) in [("/hello/", "14"), ("/stream/bytes?n=100000", "100000"), ("/stream/", "")] {
        let answer = format!("HEAD {head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = exchange(address, answer).await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(answer.contains(&format!("content-length: {length}")), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "an answer to HEAD has no body: {answer}");
    }

    let trailers = "POST /stream/echo HTTP/1.1\r\nhost: x\r\nte: trailers\r\ntrailer: x-sum\r\n\
        transfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 9\r\n\r\n";
    let echoed = exchange(address, trailers).await;
    assert!(echoed.ends_with("3\r\nabc\r\n0\r\nx-sum: 9\r\n\r\n"), "{echoed}");
    let trailers = "GET /hostile/trailers HTTP/1.1\r\nhost: x\r\nte: trailers\r\nconnection: close\r\n\r\n";
    let answer = exchange(address, trailers).await;
    assert!(answer.ends_with("0\r\nx-checksum: 42\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on_or_not_to_begin() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "body_mb = 1").await;
    let head = |length: usize| {
        format!(
            "POST /hostile/request HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n"
        )
    };
    let mut wire = Wire::open(node.apps_address()).await;
    wire.send(head(3)).await;
    assert!(wire.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
    wire.send("abc").await;
    assert!(wire.read_to_end().await.contains(r#""body_length":3"#));

    let refused = exchange(node.apps_address(), head(2 * MB)).await;
    assert_eq!((status(&refused), answers(&refused)), (413, 1), "no 100 before it: {refused}");
}

#[tokio::test]
async fn slow_clients_are_cut_off_and_slow_readers_are_not() {
    let node = TestNode::builder()
        .config("limits", "header_timeout_ms", 500)
        .config("limits", "idle_timeout_ms", 1_000)
        .start()
        .await;
    offender::publish(&node, "hostile", "timeout_ms = 500").await;
    // Not one letter over and over: that would be refused as a bomb.
    let asset: Vec<u8> =
        (0..8 * MB as u64).map(|n| b'!' + (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as u8).collect();
    let files = Bundle::of("files").asset("large.bin", asset.clone());
    node.publish_wasm("files", files.zip()).await;
    let bystander = Bystander::on(&node).await;
    let address = node.apps_address();

    for (name, bytes) in [
        ("nothing", ""),
        ("a part of a request line", "GET /hos"),
        ("a head without its end", "GET /hostile/ok HTTP/1.1\r\nhost: x\r\n"),
        ("a part of the HTTP/2 preface", "PRI * HTTP/2.0\r\n"),
    ] {
        assert_eq!(exchange(address, bytes).await, "", "{name}");
    }
    // Now and then another byte does not make a head that never ends a request.
    let mut dripping = Wire::open(address).await;
    let mut drips = 0;
    while drips < 400 && dripping.0.write_all(if drips == 0 { b"G" } else { b"x" }).await.is_ok() {
        drips += 1;
        if !dripping.is_quiet(Duration::from_millis(50)).await {
            break;
        }
    }
    assert!(drips < 400, "half a second was allowed");
    let get = "GET /hostile/ok HTTP/1.1\r\nhost: x\r\n\r\n";
    for (name, bytes) in
        [("idle after an answer", get.to_owned()), ("half a second request", format!("{get}GET /"))]
    {
        let answer = exchange(address, bytes).await;
        assert_eq!((status(&answer), answers(&answer)), (200, 1), "{name}: {answer}");
    }
    // Whose fault it is, is told: the guest was ready to read.
    let body =
        "POST /hostile/request HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 300\r\n\r\nabc";
    let answer = exchange(address, body).await;
    assert!(status(&answer) == 408 && answer.contains("\"code\":\"client-timeout\""), "{answer}");

    // For as long as a client takes what it is sent, its connection is not idle.
    let mut wire = Wire::open_narrow(address).await;
    wire.send("GET /files/large.bin HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let mut received =
        wire.read_until("\r\n\r\n").await.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        received += wire.0.read(&mut [0; 16 * 1024]).await.unwrap();
    }
    assert!(received < MB, "the client was slow: {received}");
    received += wire.read_to_end().await.len();
    assert_eq!(received, asset.len());
    bystander.went_on().await;
}

/// Small answers leave in groups, and what the kernel does not take at once is not lost on the way.
#[tokio::test]
async fn small_answers_reach_a_client_that_reads_late_whole_and_in_order() {
    // More than two kernels hold for one connection.
    const REQUESTS: usize = 16_000;
    let node = TestNode::builder().config("ingress", "shards", 1).start().await;
    let mut files = Bundle::of("files");
    for name in 0..7 {
        files = files.asset(&format!("{name}.txt"), format!("<{name}>{}", "-".repeat(600)).into_bytes());
    }
    node.publish_wasm("files", files.zip()).await;
    let address = node.apps_address();
    let request =
        |name: usize, more: &str| format!("GET /files/{}.txt HTTP/1.1\r\nhost: x\r\n{more}\r\n", name % 7);

    let (mut reader, mut writer) = Wire::open_narrow(address).await.0.into_split();
    let writing = tokio::spawn(async move {
        for n in 1..REQUESTS {
            writer.write_all(request(n, "").as_bytes()).await.expect("the node takes the next one");
        }
        writer.write_all(request(REQUESTS, "connection: close\r\n").as_bytes()).await.expect("and the last");
        writer
    });
    let mut sent = 0.0;
    eventually("the kernels hold what they can", async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let before =
            std::mem::replace(&mut sent, metric(&node, "typecase_response_bytes_total", "files").await?);
        (sent > 0.0 && sent == before).then_some(())
    })
    .await;
    assert!(sent < 600.0 * REQUESTS as f64, "the node answers no further than somebody reads");
    // Others are answered in the same turns as this one.
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(Wire::open(address).await);
    }
    for n in 0..20 {
        for other in &mut others {
            other.send(request(n, "")).await;
        }
        for other in &mut others {
            let whole = format!("<{}>{}", n % 7, "-".repeat(600));
            other.read_until(&whole).await;
        }
    }

    let mut answers = Vec::new();
    let reading = tokio::time::timeout(DEADLINE, reader.read_to_end(&mut answers));
    reading.await.expect("all answers come").expect("and the connection is closed well");
    drop(writing.await);
    let answers = String::from_utf8(answers).unwrap();
    let names: Vec<_> = answers.match_indices('<').map(|(at, _)| answers.as_bytes()[at + 1] - b'0').collect();
    let expected: Vec<_> = (1..=REQUESTS).map(|n| (n % 7) as u8).collect();
    assert!(names == expected, "{} answers, or not in order", names.len());
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), REQUESTS);
    assert_eq!(answers.matches(&format!(">{}", "-".repeat(600))).count(), REQUESTS);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let node = TestNode::builder()
        .config("limits", "connections_max", 2)
        .config("ingress", "shards", 2)
        .start()
        .await;
    node.publish_wasm("hello", guests::hello()).await;
    let get = "GET /hello/ HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut clients = Vec::new();
    for _ in 0..12 {
        let mut wire = Wire::open(node.apps_address()).await;
        wire.send(get).await;
        clients.push(wire);
    }
    // Whoever is served goes, and makes room for another, until all were served.
    let end = std::time::Instant::now() + DEADLINE;
    while !clients.is_empty() {
        assert!(std::time::Instant::now() < end, "{} clients still wait", clients.len());
        let mut waiting = Vec::new();
        let mut served = Vec::new();
        for mut wire in clients {
            let quiet = wire.is_quiet(Duration::from_millis(50)).await;
            if quiet { waiting.push(wire) } else { served.push(wire) }
        }
        assert!(served.len() <= 2, "{} connections were served at once", served.len());
        clients = waiting;
    }
    node.get("/hello/").await.expect(200);
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_instance() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "timeout_ms = 600000").await;
    node.publish_dir(&guests::example("stream")).await;
    for (app, request) in [
        ("hostile", "GET /hostile/never HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("hostile", "GET /hostile/hang-body HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("hostile", "GET /hostile/endless-body HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("hostile", "POST /hostile/request HTTP/1.1\r\nhost: x\r\ncontent-length: 9000\r\n\r\nabc"),
        ("stream", "GET /stream/events?count=100000&interval_ms=50 HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("stream", "POST /stream/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\nabc"),
    ] {
        let mut wire = Wire::open(node.apps_address()).await;
        wire.send(request).await;
        metric_reaches(&node, "typecase_instances_live", app, 1.0).await;
        drop(wire);
        metric_reaches(&node, "typecase_instances_live", app, 0.0).await;
    }
    node.get("/hostile/ok").await.expect(200);
}

/// The whole way is a stream: nothing gathers a body.
#[tokio::test]
async fn a_large_body_goes_through_in_little_memory() {
    const LENGTH: usize = 100 * MB;
    let node = TestNode::start().await;
    let stream = Bundle::of("stream").component(guests::component(&guests::example("stream")));
    let stream = stream.manifest("health = \"/bytes\"\n[limits]\nbody_mb = 200\ncpu_ms = 120000");
    node.publish_wasm("stream", stream.zip()).await;
    let before_mb = anonymous_mb(&node);

    let wire = Wire::open(node.apps_address()).await;
    let (mut reader, mut writer) = wire.0.into_split();
    let sending = tokio::spawn(async move {
        let head = format!(
            "POST /stream/echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {LENGTH}\r\n\r\n"
        );
        writer.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![b'.'; MB];
        for _ in 0..LENGTH / MB {
            writer.write_all(&piece).await.unwrap();
        }
        // Kept open: the answer has not ended.
        writer
    });
    let (mut dots, mut peak_mb, mut next_look) = (0, 0, 0);
    let mut piece = vec![0; 256 * 1024];
    loop {
        let reading = tokio::time::timeout(DEADLINE, reader.read(&mut piece)).await;
        let count = reading.expect("more comes").unwrap();
        if count == 0 {
            break;
        }
        dots += piece[..count].iter().filter(|byte| **byte == b'.').count();
        if dots >= next_look {
            peak_mb = peak_mb.max(anonymous_mb(&node));
            next_look = dots + 4 * MB;
        }
    }
    drop(sending.await.unwrap());
    // The head has a dot or two of its own.
    assert!((LENGTH..LENGTH + 10).contains(&dots), "{dots}");
    let growth_mb = peak_mb.saturating_sub(before_mb);
    println!("100 MiB echoed: {before_mb} MiB before, {peak_mb} MiB at most");
    assert!(growth_mb < 32, "{before_mb} MiB became {peak_mb} MiB");
}
