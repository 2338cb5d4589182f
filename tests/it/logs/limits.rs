//! Logs that are too much: floods, full files, full disks.

use std::fs;
use std::path::PathBuf;

use typecase_harness::load::Load;
use typecase_harness::{TestNode, eventually, guests};

use super::{entries_of, said};
use crate::bystander::Bystander;
use crate::disk::SmallDisk;
use crate::offender;

fn file(node: &TestNode, name: &str) -> PathBuf {
    node.data().join("log/apps").join(name)
}

/// Waits until a file has this text.
async fn file_has(node: &TestNode, name: &str, text: &str) {
    eventually(&format!("{text:?} in {name}"), async || {
        fs::read_to_string(file(node, name)).is_ok_and(|found| found.contains(text)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_flood_takes_nothing_from_others() {
    let node = TestNode::start().await;
    offender::publish(&node, "flood", "cpu_ms = 100").await;
    offender::publish(&node, "quiet", "").await;
    let bystander = Bystander::on(&node).await;
    // Each request writes until its time is up.
    let flood = Load::on(node.apps_address(), "/flood/stdout").keep_alive(8).start();
    flood.more(20).await;
    for round in 0..20 {
        let id = node.get(&format!("/quiet/say?{round}")).await.expect(200).header("x-request-id").to_owned();
        assert_eq!(entries_of(&node, "quiet", &id).await.len(), 8, "every entry of round {round}");
    }
    flood.more(20).await;
    drop(flood.stop().await);
    let notice = node.app_entry("flood", &["entries were left out here"]).await;
    assert_eq!((said(&notice).0, said(&notice).1), ("host", "warn"));
    assert!(node.api().log("quiet", "?tail=10000").await.iter().all(|entry| said(entry).0 != "host"));
    bystander.went_on().await;
}

#[tokio::test]
async fn files_are_turned_over_and_outlive_the_process() {
    let mut node =
        TestNode::builder().config("log", "app_file_mb", 1).config("log", "app_files", 2).start().await;
    offender::publish(&node, "hostile", "cpu_ms = 100").await;
    // Until the first file has gone: its first entry is in neither.
    node.get("/hostile/stderr-line?first").await.expect(200);
    file_has(&node, "hostile.jsonl", "marker-first").await;
    eventually("two files without the first entry", async || {
        node.get("/hostile/stdout").await.expect(504);
        let both = ["hostile.jsonl", "hostile.jsonl.1"].map(|name| fs::read_to_string(file(&node, name)));
        let [Ok(newer), Ok(older)] = both else { return None };
        assert!(newer.len().max(older.len()) <= 1 << 20);
        (!older.contains("marker-first") && !newer.contains("marker-first")).then_some(())
    })
    .await;
    assert_eq!(fs::read_dir(node.data().join("log/apps")).unwrap().count(), 2);

    let id = node.get("/hostile/say?last").await.expect(200).header("x-request-id").to_owned();
    let before = entries_of(&node, "hostile", &id).await;
    file_has(&node, "hostile.jsonl", "critical-last").await;
    node.restart().await;
    assert_eq!(node.api().log("hostile", &format!("?request={id}")).await, before);
    // More than one file and memory and files together.
    node.get("/hostile/say?new").await.expect(200);
    let newest = node.app_entry("hostile", &["critical-new"]).await;
    let many = node.api().log("hostile", "?tail=900").await;
    assert_eq!((many.len(), many.last()), (900, Some(&newest)));
    let times: Vec<&str> = many.iter().map(|entry| entry["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "each once, in order");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_costs_only_the_files() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("log")).unwrap();
    // Something else is where the folder should be.
    fs::write(folder.path().join("log/apps"), "").unwrap();
    let node = TestNode::builder().data(folder.path()).start().await;
    offender::publish(&node, "hostile", "").await;
    for round in 0..3 {
        let id =
            node.get(&format!("/hostile/say?{round}")).await.expect(200).header("x-request-id").to_owned();
        assert_eq!(entries_of(&node, "hostile", &id).await.len(), 8);
    }
    // Whoever asks for more than memory has is told that there may be more.
    let log = node.api().log("hostile", "?tail=100").await;
    assert_eq!((log.len(), &log[24]["notice"]), (25, &"incomplete".into()));
    node.log_line(&["ERROR", "the logs of apps cannot be written"]).await;
    assert_eq!(node.log().lines().filter(|line| line.contains("cannot be written")).count(), 1);
    fs::remove_file(folder.path().join("log/apps")).unwrap();
    node.get("/hostile/say?again").await.expect(200);
    file_has(&node, "hostile.jsonl", "24 entries are not in this file").await;
    file_has(&node, "hostile.jsonl", "critical-again").await;
    node.log_line(&["the logs of apps are written to files again"]).await;
}

#[tokio::test]
async fn a_full_disk_costs_only_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path()) else {
        println!("skipped: mounting a small disk takes root");
        return;
    };
    let node = TestNode::builder().data(&folder.path().join("data")).start().await;
    offender::publish(&node, "hostile", "").await;
    node.publish_wasm("hello", guests::hello()).await;
    node.get("/hostile/say?early").await.expect(200);
    file_has(&node, "hostile.jsonl", "critical-early").await;
    let filler = disk.fill();
    // The page that the file has already takes a little more; a whole one does not fit.
    for round in 0..20 {
        let id =
            node.get(&format!("/hostile/say?{round}")).await.expect(200).header("x-request-id").to_owned();
        assert_eq!(entries_of(&node, "hostile", &id).await.len(), 8);
        node.get("/hello/").await.expect(200);
    }
    node.log_line(&["the logs of apps cannot be written"]).await;
    fs::remove_file(filler).unwrap();
    node.get("/hostile/say?late").await.expect(200);
    file_has(&node, "hostile.jsonl", "entries are not in this file").await;
    file_has(&node, "hostile.jsonl", "critical-late").await;
    let text = fs::read_to_string(file(&node, "hostile.jsonl")).unwrap();
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}
