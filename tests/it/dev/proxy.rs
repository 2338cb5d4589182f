//! What is between the browser and the node: it changes pages that people look at, and nothing else.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT_ENCODING, HOST, HeaderValue};
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use typecase_harness::client::{self, Connection};
use typecase_harness::{DEADLINE, guests};

use super::run::Project;

#[tokio::test]
async fn streams_pass_as_they_come() {
    let stream = guests::component_path(&guests::example("stream"));
    let dev = Project::of(&stream, "health = \"/bytes\"\n").start().await;
    let mut connection = Connection::open(dev.address()).await.unwrap();
    let request = client::get(dev.address(), "/shop/events?count=1000000&interval_ms=1");
    let mut body = connection.begin(request).await.unwrap().into_body();
    // Of an answer that lasts for hours, the first events come at once.
    let mut text = String::new();
    while !text.contains("data: 3\n") {
        let frame = tokio::time::timeout(DEADLINE, body.frame()).await.unwrap().unwrap().unwrap();
        text.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
    }
    drop((body, connection));

    let sent = Bytes::from(vec![b'x'; 3 << 20]);
    let request = client::request(dev.address(), Method::POST, "/shop/echo", None, sent.clone());
    let answer = client::send_once(dev.address(), request).await.unwrap().expect(200);
    assert!(answer.body == sent);
    let head = client::request(dev.address(), Method::HEAD, "/shop/bytes?n=77", None, Bytes::new());
    assert_eq!(client::send_once(dev.address(), head).await.unwrap().header("content-length"), "77");
    dev.end().await;
}

#[tokio::test]
async fn only_pages_that_are_looked_at_are_changed() {
    let dev = Project::saying(1).start().await;
    let plain = dev.get("/shop/").await.expect(200);
    assert_eq!(plain.text(), "<h1>old</h1>");
    assert!(!plain.header("etag").is_empty());
    let page = dev.page("/shop/").await.expect(200);
    assert!(
        page.text().starts_with("<h1>old</h1>\n<script src=\"/.well-known/typecase/dev/client.js?"),
        "{page:?}"
    );
    assert_eq!(page.header("content-length"), page.body.len().to_string());
    assert_eq!(page.header("etag"), "");
    // A script that asks for a part of a page.
    let mut fetched = client::get(dev.address(), "/shop/");
    fetched.headers_mut().insert("accept", HeaderValue::from_static("text/html"));
    fetched.headers_mut().insert("sec-fetch-dest", HeaderValue::from_static("empty"));
    fetched.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"));
    assert_eq!(client::send_once(dev.address(), fetched).await.unwrap().text(), "<h1>old</h1>");

    let script = dev.get("/.well-known/typecase/dev/client.js").await.expect(200);
    assert!(script.header("content-type").starts_with("text/javascript"));
    dev.get("/.well-known/typecase/dev/nothing").await.expect(404);
    dev.end().await;
}

#[tokio::test]
async fn text_in_a_window_of_its_own_follows_the_source_too() {
    let dev = Project::saying(1).start().await;
    let page = dev.page("/shop/api").await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
    assert!(page.header("x-typecase-dev-wrapped").starts_with("text/plain"), "{page:?}");
    assert!(page.text().contains("client.js?") && page.text().contains("release 00001\n</pre>"), "{page:?}");
    // In a frame, or asked for by a script, it is what the app says.
    for place in ["iframe", "empty", "image"] {
        let mut request = client::get(dev.address(), "/shop/api");
        request.headers_mut().insert("accept", HeaderValue::from_static("text/html,*/*"));
        request.headers_mut().insert("sec-fetch-dest", HeaderValue::from_static(place));
        let answer = client::send_once(dev.address(), request).await.unwrap().expect(200);
        assert_eq!(
            (answer.text().as_str(), answer.header("x-typecase-dev-wrapped")),
            ("release 00001\n", "")
        );
    }
    dev.end().await;
}

#[tokio::test]
async fn apps_are_found_as_in_production() {
    let dev = Project::saying(1).start().await;
    let named = |host: &str, path: &str| {
        let mut request = client::get(dev.address(), path);
        request.headers_mut().insert(HOST, HeaderValue::from_str(host).unwrap());
        client::send_once(dev.address(), request)
    };
    assert_eq!(dev.get("/").await.expect(307).header("location"), "/shop/");
    assert_eq!(named("shop.localhost:8100", "/api").await.unwrap().expect(200).text(), "release 00001\n");
    assert_eq!(named("shop.localhost", "/").await.unwrap().expect(200).text(), "<h1>old</h1>");
    assert_eq!(named("localhost:8100", "/api").await.unwrap().status, 404);
    assert_eq!(named("localhost:8100", "/shop/api").await.unwrap().status, 200);
    // A page elsewhere whose name was led to this machine learns nothing about the source.
    let script = "/.well-known/typecase/dev/client.js";
    for (host, status) in
        [("localhost:8100", 200), ("[::1]:8100", 200), ("shop.localhost", 200), ("evil.example:8100", 403)]
    {
        assert_eq!(named(host, script).await.unwrap().status, status, "{host}");
    }
    dev.end().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_said() {
    let taken = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = typecase_harness::command::typecase();
    let project = Project::saying(1);
    command.arg("dev").arg(project.path("")).args(["--listen", &address]);
    let output = typecase_harness::command::run_command(command).await.expect(1);
    assert!(
        output.stderr.contains(&format!("{address} is taken")) && output.stderr.contains("--listen"),
        "{output:?}"
    );
}
