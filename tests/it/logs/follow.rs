//! Logs that go on: across publishes, across a restart of the node, and until nobody reads any more.

use std::process::Stdio;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use typecase_harness::client::{Connection, request};
use typecase_harness::services::Port;
use typecase_harness::{DEADLINE, TestNode, command, guests};

use crate::offender;

/// An answer that goes on, line by line.
pub struct Follow {
    body: Incoming,
    buffer: Vec<u8>,
    // Its end would end the answer.
    _connection: Connection,
}

impl Follow {
    /// `query` goes on after `follow=1`.
    pub async fn open(node: &TestNode, app: &str, query: &str) -> Self {
        let api = node.api();
        let mut connection = Connection::open(api.address).await.unwrap();
        let path = format!("/api/v1/apps/{app}/logs?follow=1{query}");
        let request = request(api.address, http::Method::GET, &path, api.token.as_deref(), Bytes::new());
        let response = connection.begin(request).await.unwrap();
        assert_eq!(response.status(), 200);
        Self { body: response.into_body(), buffer: Vec::new(), _connection: connection }
    }

    /// The next line that is no heartbeat; none at the end.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if line.len() > 1 {
                    return Some(serde_json::from_slice(&line).unwrap());
                }
                continue;
            }
            let frame =
                tokio::time::timeout(DEADLINE, self.body.frame()).await.expect("a heartbeat at least");
            let data = frame?.ok()?.into_data().unwrap_or_default();
            self.buffer.extend_from_slice(&data);
        }
    }

    /// Everything up to the line that contains all of these texts.
    pub async fn until(&mut self, texts: &[&str]) -> Vec<Value> {
        let mut lines = Vec::new();
        loop {
            let Some(line) = self.next().await else { panic!("no {texts:?} before the end: {lines:#?}") };
            let shown = line.to_string();
            lines.push(line);
            if texts.iter().all(|text| shown.contains(text)) {
                return lines;
            }
        }
    }
}

#[tokio::test]
async fn following_goes_on_across_publishes() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "").await;
    node.get("/hostile/stderr-line?before").await.expect(200);
    node.app_entry("hostile", &["marker-before"]).await;
    let mut all = Follow::open(&node, "hostile", "").await;
    let mut errors = Follow::open(&node, "hostile", "&level=error&tail=0").await;
    let past = all.until(&["\"live\""]).await;
    assert_eq!(past.len(), 2, "{past:#?}");
    assert_eq!(
        (&past[0]["message"], &past[1]),
        (&"marker-before".into(), &serde_json::json!({"notice": "live"}))
    );
    assert_eq!(errors.until(&["\"live\""]).await.len(), 1);

    for release in 1..=3 {
        if release > 1 {
            // Another digest, another release, the same app.
            let component = guests::salted(&guests::component(&guests::guest("hostile")), release);
            node.publish_wasm("hostile", component).await;
        }
        node.get(&format!("/hostile/stderr-line?{release}")).await.expect(200);
        let lines = all.until(&[&format!("marker-{release}")]).await;
        assert_eq!(lines.last().unwrap()["release.number"], release);
        node.get("/hostile/panic").await.expect(502);
        all.until(&["on purpose"]).await;
    }
    for release in 1..=3 {
        let entry = errors.next().await.unwrap();
        assert_eq!((&entry["level"], &entry["release.number"]), (&"error".into(), &release.into()));
    }
}

#[tokio::test]
async fn the_command_follows_through_a_restart_and_ends_with_ctrl_c() {
    let (apps, admin) = (Port::claim(), Port::claim());
    let mut node = TestNode::builder()
        .config("node", "listen", apps.address().to_string())
        .config("node", "admin", admin.address().to_string())
        .start()
        .await;
    offender::publish(&node, "hostile", "").await;
    let mut following = command::typecase();
    following.args(["logs", "hostile", "--follow", "--server", &format!("http://{}", admin.address())]);
    following.arg("--data").arg(node.data());
    following.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut following = tokio::process::Command::from(following).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut remarks = BufReader::new(following.stderr.take().unwrap()).lines();
    let mut next = async || {
        tokio::time::timeout(DEADLINE, lines.next_line()).await.expect("a line").unwrap().unwrap_or_default()
    };

    node.get("/hostile/stderr-line?one").await.expect(200);
    let line = next().await;
    assert!(line.ends_with("marker-one"), "{line}");
    node.kill9();
    let remark = tokio::time::timeout(DEADLINE, remarks.next_line()).await.unwrap().unwrap().unwrap();
    assert!(remark.starts_with("note: ") && remark.ends_with("; trying again"), "{remark}");
    node.restart().await;
    node.get("/hostile/stderr-line?two").await.expect(200);
    // Nothing is told twice.
    let line = next().await;
    assert!(line.ends_with("marker-two"), "{line}");

    let id = following.id().unwrap().cast_signed();
    kill_process(Pid::from_raw(id).unwrap(), Signal::INT).unwrap();
    let ended = tokio::time::timeout(DEADLINE, following.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0));
}

/// Whoever does not read costs the node neither the entry's request nor another reader.
#[tokio::test]
async fn readers_that_stop_hold_up_nobody() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "cpu_ms = 200").await;
    let mut stopped = Vec::new();
    for _ in 0..20 {
        stopped.push(Follow::open(&node, "hostile", "").await);
    }
    let mut reading = Follow::open(&node, "hostile", "").await;
    reading.until(&["\"live\""]).await;
    for round in 0..5 {
        node.get("/hostile/stdout").await.expect(504);
        node.get(&format!("/hostile/panic?{round}")).await.expect(502);
        reading.until(&["on purpose"]).await;
    }
    drop(stopped);
}
