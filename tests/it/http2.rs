//! HTTP/2 without TLS, as balancers speak it to the nodes behind them.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use typecase_harness::{DEADLINE, TestNode, guests};

use crate::bystander::Bystander;
use crate::offender::{self, metric_reaches};
use crate::wire::Wire;

const MB: usize = 1024 * 1024;

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<Result<(), hyper::Error>>,
    address: SocketAddr,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, driver) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        Self { sender, driver: tokio::spawn(driver), address }
    }

    fn request(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        let uri = format!("http://{}{path}", self.address);
        Request::builder()
            .method(method)
            .version(Version::HTTP_2)
            .uri(uri)
            .body(Full::new(body.into()))
            .unwrap()
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<http::Response<Incoming>, hyper::Error> {
        let mut sender = self.sender.clone();
        let sending = async {
            sender.ready().await?;
            sender.send_request(request).await
        };
        tokio::time::timeout(DEADLINE, sending).await.expect("an answer within the deadline")
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let response = self.send(self.request("GET", path, "")).await.unwrap();
        let status = response.status();
        let body = tokio::time::timeout(DEADLINE, response.into_body().collect()).await.expect("a body");
        let body = body.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }
}

#[tokio::test]
async fn one_connection_carries_many_requests_at_once() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "cpu_ms = 300\ntimeout_ms = 2000\nbody_mb = 1").await;
    offender::publish_p3(&node, "modern", "").await;
    node.publish_wasm("hello", guests::hello()).await;
    let bystander = Bystander::on(&node).await;
    let connection = Connection::open(node.apps_address()).await;

    let mut requests = JoinSet::new();
    // More than the node takes at once: the others wait for a stream.
    for n in 0..300 {
        let request =
            connection.request("GET", if n % 2 == 0 { "/hello/" } else { "/modern/slow?ms=20" }, "");
        let mut sender = connection.sender.clone();
        requests.spawn(async move {
            sender.ready().await.unwrap();
            sender.send_request(request).await.unwrap().status()
        });
    }
    while let Some(status) = requests.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }

    // What goes wrong in one stream is its own affair.
    for (path, status, code) in [
        ("/hostile/trap", 502, "guest-trap"),
        ("/hostile/drop-body", 502, "no-response"),
        ("/hostile/status?code=103", 502, "no-response"),
        ("/hostile/loop", 504, "cpu-limit"),
        ("/nobody/", 404, "app-not-found"),
    ] {
        let (found, text) = connection.get(path).await;
        assert!(found == status && text.contains(code), "{path}: {found} {text}");
    }
    let broken = connection.send(connection.request("GET", "/hostile/spin-body", "")).await.unwrap();
    assert_eq!(broken.status(), 200);
    assert!(broken.into_body().collect().await.is_err(), "a stream that breaks off has no end");

    // The whole body is sent while the answer is long there.
    let large = connection.request("POST", "/hostile/request", vec![b'.'; 24 * MB]);
    let answer = connection.send(large).await.unwrap();
    assert_eq!(answer.status(), 413);
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&text).contains("body-too-large"));

    let mut long = connection.request("GET", "/hello/", "");
    long.headers_mut().insert("x-long", "a".repeat(70_000).parse().unwrap());
    match connection.send(long).await {
        Ok(answer) => assert_eq!(answer.status(), 431),
        Err(error) => assert!(!error.is_timeout(), "{error}"),
    }
    let connection = Connection::open(node.apps_address()).await;
    assert_eq!(connection.get("/hello/").await, (StatusCode::OK, "Hello, world!\n".to_owned()));
    bystander.went_on().await;
}

#[tokio::test]
async fn a_stream_that_is_given_up_frees_its_instance() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "timeout_ms = 600000").await;
    offender::publish_p3(&node, "modern", "timeout_ms = 600000").await;
    let connection = Connection::open(node.apps_address()).await;
    for (app, path) in [
        ("hostile", "/hostile/hang-body"),
        ("hostile", "/hostile/endless-body"),
        ("modern", "/modern/stream?count=100000&interval_ms=20"),
    ] {
        let answer = connection.send(connection.request("GET", path, "")).await.unwrap();
        metric_reaches(&node, "typecase_instances_live", app, 1.0).await;
        drop(answer);
        metric_reaches(&node, "typecase_instances_live", app, 0.0).await;
    }
    for (app, path) in [("hostile", "/hostile/never"), ("modern", "/modern/never")] {
        let (mut sender, request) = (connection.sender.clone(), connection.request("GET", path, ""));
        let waiting = tokio::spawn(async move { sender.send_request(request).await });
        metric_reaches(&node, "typecase_instances_live", app, 1.0).await;
        waiting.abort();
        metric_reaches(&node, "typecase_instances_live", app, 0.0).await;
    }
    assert_eq!(connection.get("/hostile/ok").await.0, 200);
}

/// Half a minute is what a client gets, on either version; the guest's own time-out is about the guest.
#[tokio::test]
async fn a_client_that_stops_reading_does_not_keep_its_instance() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "timeout_ms = 600000").await;
    let bystander = Bystander::on(&node).await;
    let connection = Connection::open(node.apps_address()).await;
    // One only: more would use up the connection's window, which is the client's own affair.
    let unread = connection.send(connection.request("GET", "/hostile/endless-body", "")).await.unwrap();
    let mut wire = Wire::open_narrow(node.apps_address()).await;
    wire.send("GET /hostile/endless-body HTTP/1.1\r\nhost: x\r\n\r\n").await;
    metric_reaches(&node, "typecase_instances_live", "hostile", 2.0).await;
    metric_reaches(&node, "typecase_instances_live", "hostile", 0.0).await;
    // Only the stream that stood still has ended.
    assert_eq!(connection.get("/hostile/ok").await.0, 200);
    let rest = tokio::time::timeout(DEADLINE, unread.into_body().collect()).await.expect("it ends");
    assert!(rest.is_err(), "an answer that was ended has no end");
    bystander.went_on().await;
}

#[tokio::test]
async fn an_idle_connection_is_ended_in_order_and_a_busy_one_is_not() {
    let node = TestNode::builder().config("limits", "idle_timeout_ms", 1_000).start().await;
    offender::publish(&node, "hostile", "").await;
    let connection = Connection::open(node.apps_address()).await;
    assert_eq!(connection.get("/hostile/slow?ms=4000").await.0, 200);
    assert_eq!(
        connection.get("/hostile/ok").await.0,
        200,
        "the connection outlived its idle time-out while busy"
    );
    // Told, not cut: a client would otherwise not know what became of a request that it has just sent.
    let ended = tokio::time::timeout(DEADLINE, connection.driver).await.expect("the node ends it");
    ended.unwrap().expect("a connection that ends in order is no error");
    node.get("/hostile/ok").await.expect(200);
}

#[tokio::test]
async fn trailers_reach_the_client() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "").await;
    offender::publish_p3(&node, "modern", "").await;
    let connection = Connection::open(node.apps_address()).await;
    for app in ["hostile", "modern"] {
        let answer =
            connection.send(connection.request("GET", &format!("/{app}/trailers"), "")).await.unwrap();
        let whole = tokio::time::timeout(DEADLINE, answer.into_body().collect()).await.unwrap().unwrap();
        assert_eq!(whole.trailers().unwrap()["x-checksum"], "42", "{app}");
        assert_eq!(whole.to_bytes(), "body before trailers\n", "{app}");
    }
}
