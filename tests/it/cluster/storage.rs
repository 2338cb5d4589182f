//! The bundle storage is gone, read-only, damaged or has a bad day: what serves goes on, nobody serves what not all can
//! load, and whoever publishes is told which node cannot and why.

mod damage;

use std::fs;

use serde_json::{Value, json};
use typecase_harness::services::{Link, Mount, S3Fault};
use typecase_harness::{Cluster, Service, Storage, eventually, guests};

use super::{FIRST, expect_unavailable, load_on, publish_first, settled, stop_all, suffers_from};
use crate::disk::SmallDisk;

/// Everybody serves the first release, and the newest one has failed because of this node.
async fn assert_aborted_by(cluster: &Cluster, name: &str, reason: &str) -> Value {
    let newest = settled(&cluster.nodes[0]).await;
    let failure = newest["failure"].as_str().unwrap_or_default();
    assert_eq!(newest["state"], "failed", "{newest}");
    assert!(failure.contains(name) && failure.contains(reason), "{newest}");
    for node in &cluster.nodes {
        assert_eq!(node.get("/hello/").await.expect(200).text().trim_end(), guests::greeting(FIRST));
        assert_eq!(node.api().app("hello").await["active"], FIRST);
    }
    newest
}

async fn cut_off(storage: Storage) {
    if storage == Storage::Folder && !Mount::is_allowed() {
        println!("skipped: a storage of one node's own takes root");
        return;
    }
    let mut cluster = Cluster::builder().storage(storage).wire(2, Service::Storage).start().await;
    publish_first(&cluster).await;
    let loads = vec![load_on(&cluster.nodes[0]), load_on(&cluster.nodes[1])];
    let load = load_on(&cluster.nodes[2]);
    cluster.cut_off(2, Service::Storage).await;

    let refused = cluster.nodes[0].api().publish("hello", guests::hello_saying(FIRST + 1), "").await;
    let problem = refused.expect_problem(422, "release-failed");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("node-2") && !detail.contains("node-1"), "{problem}");
    let failed =
        problem["receipts"].as_array().unwrap().iter().filter(|receipt| receipt["state"] == "failed");
    assert_eq!(failed.count(), 1, "{problem}");
    assert_aborted_by(&cluster, "node-2", "storage").await;

    // On the node itself nothing is stored, least of all in the folder below a volume that is not mounted.
    let upload = guests::hello_saying(FIRST + 2);
    let problem = expect_unavailable(cluster.nodes[2].api().publish("hello", upload, "").await);
    assert!(problem["detail"].as_str().unwrap().contains("storage"), "{problem}");
    assert_eq!(cluster.nodes[0].api().releases("hello").await.len(), 2);
    if storage == Storage::Folder {
        assert_eq!(fs::read_dir(cluster.mount(2).path()).unwrap().count(), 0);
        suffers_from(&cluster, 2, "is it mounted?").await;
    }
    suffers_from(&cluster, 2, "storage").await;
    load.more(10).await;
    load.stop().await.assert_no_failures(30);

    // Started again, it serves what it has and says what it lacks.
    cluster.nodes[2].restart().await;
    assert_eq!(cluster.nodes[2].get("/hello/").await.expect(200).text().trim_end(), guests::greeting(FIRST));
    suffers_from(&cluster, 2, "storage").await;

    cluster.reconnect(2, Service::Storage).await;
    suffers_from(&cluster, 2, "").await;
    cluster.nodes[2].publish_wasm("hello", guests::hello_saying(FIRST + 2)).await;
    cluster.all_answer("/hello/", &guests::greeting(FIRST + 2)).await;
    stop_all(loads).await;
}

#[tokio::test]
async fn a_node_without_the_shared_folder_aborts_a_rollout_and_serves_what_it_has() {
    cut_off(Storage::Folder).await;
}

#[tokio::test]
async fn a_node_without_the_object_store_aborts_a_rollout_and_serves_what_it_has() {
    cut_off(Storage::S3).await;
}

#[tokio::test]
async fn a_node_that_may_only_read_the_storage_takes_no_publish_and_follows_others() {
    if !Mount::is_allowed() {
        println!("skipped: a storage of one node's own takes root");
        return;
    }
    let mut cluster = Cluster::builder().wire(1, Service::Storage).start().await;
    publish_first(&cluster).await;
    cluster.mount(1).make_read_only();
    let refused = cluster.nodes[1].api().publish("hello", guests::hello_saying(FIRST + 1), "").await;
    let problem = expect_unavailable(refused);
    assert!(problem["detail"].as_str().unwrap().contains("storage"), "{problem}");
    cluster.nodes[0].publish_wasm("hello", guests::hello_saying(FIRST + 2)).await;
    cluster.all_answer("/hello/", &guests::greeting(FIRST + 2)).await;
}

#[tokio::test]
async fn a_node_whose_disk_is_full_aborts_a_rollout_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path()) else {
        println!("skipped: mounting a small disk takes root");
        return;
    };
    let mut cluster = Cluster::builder().nodes(2).start().await;
    let small = cluster.next_node().await.data(&folder.path().join("data")).start().await;
    cluster.add(small);
    publish_first(&cluster).await;
    let load = load_on(&cluster.nodes[2]);
    let filler = disk.fill();
    let refused = cluster.nodes[0].api().publish("hello", guests::hello_saying(FIRST + 1), "").await;
    let problem = refused.expect_problem(422, "release-failed");
    assert!(problem["detail"].as_str().unwrap().contains("node-2"), "{problem}");
    assert_aborted_by(&cluster, "node-2", "the disk of the node is full").await;
    fs::remove_file(filler).unwrap();
    cluster.nodes[2].publish_wasm("hello", guests::hello_saying(FIRST + 2)).await;
    cluster.all_answer("/hello/", &guests::greeting(FIRST + 2)).await;
    load.stop().await.of_node(2).assert_no_failures(30);
    drop(cluster);
    drop(disk);
}

#[tokio::test]
async fn an_object_store_on_a_bad_day_delays_a_publish_or_refuses_it() {
    let cluster = Cluster::builder().storage(Storage::S3).start().await;
    publish_first(&cluster).await;
    let load = load_on(&cluster.nodes[0]);
    let s3 = cluster.s3.as_ref().unwrap();
    // Throttled for a moment: nobody is told.
    for (release, fault) in [(FIRST + 1, S3Fault::Status(503)), (FIRST + 2, S3Fault::AnswerLost)] {
        s3.fail_next(2, fault);
        cluster.nodes[1].publish_wasm("hello", guests::hello_saying(release)).await;
        cluster.all_answer("/hello/", &guests::greeting(release)).await;
    }
    s3.fail(S3Fault::Status(500));
    let refused = cluster.nodes[1].api().publish("hello", guests::hello_saying(FIRST + 3), "").await;
    expect_unavailable(refused);
    s3.heal();
    let published = cluster.nodes[1].publish_wasm("hello", guests::hello_saying(FIRST + 3)).await;
    assert_eq!(published["release"], FIRST + 3, "what was refused is no release: {published}");
    cluster.all_answer("/hello/", &guests::greeting(FIRST + 3)).await;
    load.stop().await.of_node(0).assert_no_failures(30);
}

#[tokio::test]
async fn a_node_whose_storage_hangs_holds_up_nothing_but_the_rollout_and_that_not_for_long() {
    let builder = Cluster::builder().storage(Storage::S3).wire(2, Service::Storage);
    let cluster = builder.config("limits", "rollout_timeout_ms", 6_000).start().await;
    publish_first(&cluster).await;
    let load = load_on(&cluster.nodes[2]);
    cluster.wire(2, Service::Storage).set(Link::Hang).await;
    let refused = cluster.nodes[0].api().publish("hello", guests::hello_saying(FIRST + 1), "").await;
    let problem = refused.expect_problem(422, "release-failed");
    assert!(
        problem["detail"].as_str().unwrap().contains("not prepared within 6 s: node node-2"),
        "{problem}"
    );
    // Its health, its API and its commands ask the storage nothing.
    cluster.nodes[2].admin_get("/readyz").await.expect(200);
    assert_aborted_by(&cluster, "node-2", "not prepared").await;
    cluster.wire(2, Service::Storage).set(Link::Pass).await;
    eventually("the rollout is tried again", async || {
        let answer = cluster.nodes[2].api().publish("hello", guests::hello_saying(FIRST + 2), "").await;
        (answer.status == 200).then_some(())
    })
    .await;
    cluster.all_answer("/hello/", &guests::greeting(FIRST + 2)).await;
    load.stop().await.of_node(2).assert_no_failures(30);
}

async fn killed_in_the_middle(storage: Storage) {
    let mut cluster = Cluster::builder().storage(storage).start().await;
    publish_first(&cluster).await;
    let loads = vec![load_on(&cluster.nodes[0]), load_on(&cluster.nodes[1])];
    let release = FIRST + 1;
    // The others wait for a node that has stopped without a word, and then dies.
    cluster.nodes[2].pause().await;
    let api = cluster.nodes[0].api();
    let publishing = tokio::spawn({
        let api = api.clone();
        async move { api.publish("hello", guests::hello_saying(release), "").await }
    });
    eventually("the others are prepared", async || {
        let releases = api.releases("hello").await;
        let began = releases.first().is_some_and(|newest| newest["number"] == release);
        (began && api.receipts("hello", release.into()).await.len() == 2).then_some(())
    })
    .await;
    cluster.nodes[2].kill9();
    assert_eq!(publishing.await.unwrap().expect(200).json()["state"], "active");
    for node in &cluster.nodes[..2] {
        assert_eq!(node.get("/hello/").await.expect(200).text().trim_end(), guests::greeting(release));
    }
    cluster.nodes[2].restart().await;
    assert_eq!(
        cluster.nodes[2].get("/hello/").await.expect(200).text().trim_end(),
        guests::greeting(release)
    );

    // The node that took a publish dies; another one, which has slept through it, ends the rollout.
    let release = release + 1;
    cluster.nodes[1].pause().await;
    let accepted = cluster.nodes[2].api().publish("hello", guests::hello_saying(release), "?wait=0").await;
    assert_eq!(accepted.expect(202).json()["release"], release);
    cluster.nodes[2].kill9();
    cluster.nodes[1].resume();
    assert_eq!(settled(&cluster.nodes[0]).await["state"], json!("active"));
    cluster.nodes[2].restart().await;
    cluster.all_answer("/hello/", &guests::greeting(release)).await;
    stop_all(loads).await;
}

#[tokio::test]
async fn nodes_that_are_killed_in_the_middle_of_a_rollout_do_not_block_it() {
    killed_in_the_middle(Storage::Folder).await;
}

#[tokio::test]
async fn nodes_that_are_killed_in_the_middle_of_a_rollout_do_not_block_it_on_s3() {
    killed_in_the_middle(Storage::S3).await;
}
