//! Redis that comes late, goes, hangs, or does not let us in.

use std::io;
use std::sync::{Arc, Mutex};

use typecase_model::Topic;

use super::server::{Server, free_port};
use super::{Node, app, pair, plain};

#[tokio::test]
async fn a_name_that_does_not_resolve_is_named() {
    Node::new("redis://redis.invalid").is_down("lookup").await;
}

#[tokio::test]
async fn nodes_may_start_before_redis() {
    let mut server = Server::redis(&[]);
    server.stop();
    let (mut one, mut two) = (Node::new(&plain(&server)), Node::new(&plain(&server)));
    one.is_down("Connection refused").await;
    one.announcements.announce(app("early"));
    server.restart();
    // Each looks at everything as soon as it can hear, so it does not matter whether it hears what came before.
    for node in [&mut one, &mut two] {
        node.hears(&Topic::All).await;
        node.is_up().await;
    }
    one.announcements.announce(app("late"));
    two.hears(&app("late")).await;
}

#[tokio::test]
async fn redis_may_go_and_come_back_empty() {
    let mut server = Server::redis(&[]);
    let [mut one, mut two] = pair(&plain(&server)).await;
    for round in 0..3 {
        server.stop();
        one.is_down("Redis at redis://127.0.0.1").await;
        let (lost, found) = (app(&format!("lost-{round}")), app(&format!("found-{round}")));
        one.announcements.announce(lost.clone());
        // One's own subscribers hear it without Redis.
        one.hears(&lost).await;
        server.restart();
        for node in [&mut one, &mut two] {
            node.hears(&Topic::All).await;
            node.is_up().await;
        }
        one.announcements.announce(found.clone());
        two.hears(&found).await;
    }
}

#[tokio::test]
async fn a_hung_redis_is_down_until_it_goes_on() {
    let server = Server::redis(&[]);
    let [mut one, mut two] = pair(&plain(&server)).await;
    server.hang();
    one.announcements.announce(app("unheard"));
    for node in [&one, &two] {
        node.is_down("does not answer in time").await;
    }
    // Closing does not wait for it either.
    one.announcements.close().await;
    server.go_on();
    // What was said meanwhile reaches who is still connected; whoever is not looks at everything.
    two.hears_one_of(&[app("unheard"), Topic::All]).await;
    two.is_up().await;

    let mut three = Node::new(&plain(&server));
    three.hears(&Topic::All).await;
    two.announcements.announce(app("heard"));
    three.hears(&app("heard")).await;
    assert_eq!(one.subscription.next().await, app("unheard"));
}

#[tokio::test]
async fn a_publisher_that_is_cut_off_alone_is_heard_later() {
    let server = Server::redis(&[]);
    let [mut one, two] = pair(&plain(&server)).await;
    // It answers everything but what writes.
    server.ask(&["client", "pause", "3000", "write"]);
    two.announcements.announce(app("paused"));
    two.is_down("does not answer in time").await;
    one.hears(&app("paused")).await;
    two.is_up().await;
}

/// What is logged, of all tests in this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_wrong_password_is_named_and_not_shown() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
    tracing_subscriber::util::SubscriberInitExt::init(
        subscriber.with_writer(move || writer.clone()).finish(),
    );

    let server = Server::redis(&["--requirepass", "right-secret"]);
    let port = server.port;
    for url in [
        format!("redis://:wrong-secret@127.0.0.1:{port}"),
        format!("redis://nobody:wrong-secret@127.0.0.1:{port}"),
        format!("redis://127.0.0.1:{port}"),
    ] {
        let reason = Node::new(&url).is_down("refuses the user or password").await;
        assert!(!reason.contains("secret"), "{reason}");
    }
    let node = Node::new(&format!("redis://:right-secret@127.0.0.1:{port}"));
    node.is_up().await;
    node.announcements.announce(Topic::Nodes);
    node.announcements.close().await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("refuses the user or password") && log.contains("fred"), "{log}");
    assert!(!log.contains("right-secret") && !log.contains("wrong-secret"), "{log}");
}

#[tokio::test]
async fn a_user_that_may_too_little_is_told_what_to_allow() {
    let server = Server::redis(&[]);
    server.ask(&[
        "acl",
        "setuser",
        "typecase",
        "on",
        ">hush",
        "resetchannels",
        "+ping",
        "+publish",
        "+subscribe",
    ]);
    let node = Node::new(&format!("redis://typecase:hush@127.0.0.1:{}", server.port));
    node.is_down("ACL SETUSER NAME &typecase:* +ping +publish +subscribe").await;
    server.ask(&["acl", "setuser", "typecase", "&typecase:*"]);
    node.is_up().await;

    // What may be heard may not be said: it shows when something is to be said, and until it can be.
    server.ask(&["acl", "setuser", "typecase", "-publish"]);
    node.announcements.announce(app("forbidden"));
    node.is_down("NOPERM").await;
    server.ask(&["acl", "setuser", "typecase", "+publish"]);
    node.is_up().await;
}

#[tokio::test]
async fn something_else_than_redis_is_not_up() {
    let port = free_port();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let node = Node::new(&format!("redis://127.0.0.1:{port}"));
    // Accepts and hangs up, as a balancer without a server behind it does.
    let (connection, _) = listener.accept().await.unwrap();
    drop(connection);
    let accepting = tokio::spawn(async move {
        loop {
            let _ = listener.accept().await;
        }
    });
    node.is_down("closed the connection").await;
    accepting.abort();
}
