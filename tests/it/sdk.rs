//! What the Rust SDK promises its authors, kept by a real node: the same code over WASI 0.2 and over WASI 0.3.

use std::convert::Infallible;
use std::fs;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use typecase_harness::bundles::Bundle;
use typecase_harness::client::{request, send_once};
use typecase_harness::{Answer, TestNode, guests};

const GENERATIONS: [&str; 2] = ["sdk", "sdk-p3"];

/// Without the server's `request_id`, which is in the header of every answer.
#[track_caller]
fn expect_problem(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (status, "application/problem+json"),
        "{answer:?}"
    );
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{problem}");
    problem
}

#[tokio::test]
async fn requests_arrive_as_they_were_sent() {
    let node = TestNode::start().await;
    for app in GENERATIONS {
        node.publish_dir(&guests::guest(app)).await;
        let path = |rest: &str| format!("/{app}{rest}");
        let address = node.apps_address();
        let seen = node.send(Method::POST, &path("/request/a%20b?c=d"), "body").await.expect(200).json();
        assert_eq!(
            seen,
            json!({
                "method": "POST",
                "uri": format!("http://{address}/request/a%20b?c=d"),
                "id": "a b",
                "agent": "",
                "prefix": format!("/{app}"),
                "body": "body",
            })
        );
        let send = async |body: &'static str| {
            let mut request = request(address, Method::POST, &path("/json"), None, Bytes::from(body));
            request.headers_mut().insert("content-type", "application/json".parse().unwrap());
            send_once(address, request).await.unwrap()
        };
        assert_eq!(send("[1, 2, 3]").await.expect(200).text(), "6");
        expect_problem(&send("[1, 2").await, 400, "json-syntax");
        expect_problem(&send("[\"1\"]").await, 422, "json-invalid");
        expect_problem(&node.send(Method::POST, &path("/json"), "[1, 2]").await, 415, "not-json");
        expect_problem(&node.get(&path("/json")).await, 405, "method-not-allowed");
        let head = node.send(Method::HEAD, &path("/whole?bytes=5"), "").await.expect(200);
        assert_eq!((head.header("content-length"), head.body.len()), ("5", 0));
    }
}

#[tokio::test]
async fn bodies_stream_in_and_out() {
    let node = TestNode::start().await;
    let mebibyte = vec![b'a'; 1 << 20];
    for app in GENERATIONS {
        node.publish_dir(&guests::guest(app)).await;
        let path = |rest: &str| format!("/{app}{rest}");
        let echoed = node.send(Method::POST, &path("/echo"), mebibyte.clone()).await.expect(200);
        assert_eq!(echoed.body, mebibyte, "{app}");
        let counted = node.send(Method::POST, &path("/count"), mebibyte.clone()).await.expect(200).text();
        assert_eq!(counted, "1048576 bytes, 0 trailers\n");
        let upper = node.send(Method::POST, &path("/upper"), mebibyte.clone()).await.expect(200);
        assert_eq!(upper.body, mebibyte.to_ascii_uppercase(), "{app}");
        assert_eq!(node.get(&path("/whole?bytes=100000")).await.expect(200).body.len(), 100_000);
        assert_eq!(node.get(&path("/whole?bytes=0")).await.expect(200).body.len(), 0);
        let events = node.get(&path("/events")).await.expect(200);
        assert_eq!(events.header("content-type"), "text/event-stream");
        assert_eq!(events.text(), "id: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\ndata: 3\n\n");
    }
}

/// What a client sends is answered before it has sent all of it.
#[tokio::test]
async fn an_answer_begins_while_its_request_still_comes_in() {
    let node = TestNode::start().await;
    for app in GENERATIONS {
        node.publish_dir(&guests::guest(app)).await;
        for (path, expected) in [("echo", "piece"), ("upper", "PIECE")] {
            let (pieces, receiver) = mpsc::channel(1);
            let stream = TcpStream::connect(node.apps_address()).await.unwrap();
            let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let request = Request::post(format!("/{app}/{path}")).header("host", "localhost");
            let answer = tokio::spawn(client.send_request(request.body(Pieces(receiver)).unwrap()));
            pieces.send(Bytes::from("piece")).await.unwrap();
            let mut answer = answer.await.unwrap().unwrap();
            let first = answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(first, expected, "{app}");
            drop(pieces);
            assert!(answer.body_mut().frame().await.is_none());
        }
    }
}

/// A body that goes on as long as somebody can add to it.
struct Pieces(mpsc::Receiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[tokio::test]
async fn waiting_ends_when_it_should() {
    let node = TestNode::start().await;
    for app in GENERATIONS {
        node.publish_dir(&guests::guest(app)).await;
        assert_eq!(node.get(&format!("/{app}/late")).await.expect(200).text(), "gave up\n");
        assert_eq!(node.get(&format!("/{app}/together")).await.expect(200).text(), "quick slow");
        let answer = node.get(&format!("/{app}/trailers")).await.expect(200);
        assert_eq!(answer.text(), "content\n");
    }
}

#[tokio::test]
async fn errors_are_told_to_clients_and_explained_in_the_log() {
    let node = TestNode::start().await;
    for app in GENERATIONS {
        node.publish_dir(&guests::guest(app)).await;
        let problem = expect_problem(&node.get(&format!("/{app}/fail")).await, 500, "internal");
        assert!(!problem.to_string().contains("digit"), "{problem}");
        node.app_entry(app, &["GET /fail: invalid digit found in string"]).await;
        node.get(&format!("/{app}/panic?bytes=4")).await.expect(502);
        node.app_entry(app, &["called `Option::unwrap()` on a `None` value"]).await;
        assert_eq!(node.get(&format!("/{app}/panic?bytes=3")).await.expect(200).text(), "120");

        node.get(&format!("/{app}/log")).await.expect(204);
        for (text, level) in [("a debug message", "debug"), ("only 3 left", "warn"), ("printed", "info")] {
            let entry = node.app_entry(app, &[text]).await;
            assert_eq!(entry["level"], level, "{entry}");
        }
        node.app_entry(app, &["complained"]).await;
        assert_eq!(
            node.api().log(app, "").await.iter().filter(|entry| says(entry, "below the level")).count(),
            0
        );
        assert_eq!(node.get(&format!("/{app}/config")).await.expect(200).text(), "Hello");
    }
}

fn says(entry: &Value, text: &str) -> bool {
    entry.to_string().contains(text)
}

#[tokio::test]
async fn an_instance_may_serve_many_requests() {
    let node = TestNode::start().await;
    for app in GENERATIONS {
        let component = guests::component(&guests::guest(app));
        let manifest = "[limits]\nreuse = 1000\n[config]\ngreeting = { default = \"Hello\" }";
        node.api()
            .publish(app, Bundle::of(app).component(component).manifest(manifest).zip(), "")
            .await
            .expect(200);
        let mut most = 0;
        for _ in 0..50 {
            for path in ["events", "upper", "trailers", "late"] {
                let method = if path == "upper" { Method::POST } else { Method::GET };
                node.send(method, &format!("/{app}/{path}"), "x").await.expect(200);
            }
            most = most
                .max(node.get(&format!("/{app}/visits")).await.expect(200).text().parse::<u32>().unwrap());
        }
        assert!(most > 1, "{app}: an instance was used again, but its app was not");
    }
}

/// Readers copy the first example, so it is one that is built and called.
#[test]
fn the_front_page_starts_with_an_example() {
    let page = fs::read_to_string(guests::root().join("sdk/rust/README.md")).unwrap();
    let example = fs::read_to_string(guests::root().join("examples/hello-sdk/src/lib.rs")).unwrap();
    let first = page.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(first, example);
}
