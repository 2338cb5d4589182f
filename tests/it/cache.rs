//! What a node keeps on its disk is checked before it is used: a bad copy is made again, or said to be bad.

use std::fs;

use serde_json::json;
use typecase_harness::{TestNode, eventually, files, guests};

use crate::bystander;
use crate::offender::{compilations, metric};

#[tokio::test]
async fn bad_compiled_code_is_made_again_and_never_run() {
    let mut node = TestNode::start().await;
    bystander::publish(&node).await;
    node.publish_wasm("hello", guests::hello_saying(1)).await;
    let foreign = {
        let other = TestNode::start().await;
        other.publish_wasm("hello", guests::hello_saying(1)).await;
        let file = |end: &str| fs::read(&files::ending(&other.data().join("cache/code"), end)[0]).unwrap();
        (file(".cwasm"), file(".seal"))
    };
    let code = node.data().join("cache/code");
    for what in ["damaged", "cut", "empty", "without its seal", "of another node", "exchanged"] {
        node.kill9();
        let compiled = files::ending(&code, ".cwasm");
        assert_eq!(compiled.len(), 2, "{what}: {compiled:?}");
        let bytes: Vec<Vec<u8>> = compiled.iter().map(|file| fs::read(file).unwrap()).collect();
        for (number, file) in compiled.iter().enumerate() {
            let seal = file.with_extension("seal");
            match what {
                "damaged" => files::damage(file),
                "cut" => fs::write(file, &bytes[number][..bytes[number].len() / 2]).unwrap(),
                "empty" => fs::write(file, b"").unwrap(),
                "without its seal" => fs::remove_file(&seal).unwrap(),
                "of another node" => {
                    fs::write(file, &foreign.0).unwrap();
                    fs::write(&seal, &foreign.1).unwrap();
                }
                _ => fs::write(file, &bytes[1 - number]).unwrap(),
            }
        }
        if what == "exchanged" {
            // With the seals exchanged as well, each file is one that this node made, in the wrong place.
            let seals = files::ending(&code, ".seal");
            let contents: Vec<Vec<u8>> = seals.iter().map(|file| fs::read(file).unwrap()).collect();
            fs::write(&seals[0], &contents[1]).unwrap();
            fs::write(&seals[1], &contents[0]).unwrap();
        }
        node.restart().await;
        assert_eq!(node.get("/hello/").await.expect(200).text(), "release 00001\n", "{what}");
        bystander::assert_serves(&node).await;
        assert_eq!(compilations(&node).await, 2.0, "{what}: both were compiled again");
        node.log_line(&["WARN", "compiled code", "made anew"]).await;
    }
}

/// As after an upgrade of the server: what another engine made is of no use to this one.
#[tokio::test]
async fn code_of_another_engine_is_not_kept() {
    let mut node = TestNode::start().await;
    node.publish_wasm("hello", guests::hello_saying(1)).await;
    let code = node.data().join("cache/code");
    node.kill9();
    for end in [".cwasm", ".seal"] {
        let file = files::ending(&code, end).remove(0);
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let (digest, _) = name.split_once('-').unwrap();
        fs::rename(&file, code.join(format!("{digest}-0123456789abcdef{end}"))).unwrap();
    }
    node.restart().await;
    assert_eq!(node.get("/hello/").await.expect(200).text(), "release 00001\n");
    assert_eq!(compilations(&node).await, 1.0);
    for end in [".cwasm", ".seal"] {
        let left = files::ending(&code, end);
        assert!(left.len() == 1 && !left[0].to_string_lossy().contains("0123456789abcdef"), "{left:?}");
    }
    node.restart().await;
    assert_eq!(metric(&node, "typecase_code_cache_hits_total", "hello").await, Some(1.0));
}

#[tokio::test]
async fn a_cache_that_is_gone_is_made_again() {
    let mut node = TestNode::start().await;
    node.publish_wasm("hello", guests::hello_saying(1)).await;
    node.kill9();
    fs::remove_dir_all(node.data().join("cache")).unwrap();
    node.restart().await;
    assert_eq!(node.get("/hello/").await.expect(200).text(), "release 00001\n");
}

#[tokio::test]
async fn a_damaged_unpacked_component_is_unpacked_again() {
    let mut node = TestNode::start().await;
    node.publish_wasm("hello", guests::hello_saying(1)).await;
    node.kill9();
    files::damage(&files::ending(&node.data().join("cache/bundles"), "component.wasm")[0]);
    fs::remove_dir_all(node.data().join("cache/code")).unwrap();
    node.restart().await;
    assert_eq!(node.get("/hello/").await.expect(200).text(), "release 00001\n");
    node.log_line(&["the local copy is damaged"]).await;
}

#[tokio::test]
async fn a_corrupt_stored_bundle_is_never_served_and_is_healed_by_publishing_it_again() {
    let mut node = TestNode::start().await;
    bystander::publish(&node).await;
    let component = guests::hello_saying(1);
    let digest = node.publish_wasm("hello", component.clone()).await["digest"].as_str().unwrap().to_owned();
    let stored = files::ending(&node.data().join("storage"), digest.trim_start_matches("sha256:")).remove(0);
    for (what, reason) in [("damaged", "corrupt"), ("cut", "corrupt"), ("gone", "does not exist")] {
        node.kill9();
        match what {
            "damaged" => files::damage(&stored),
            "cut" => fs::write(&stored, &fs::read(&stored).unwrap()[..1_000]).unwrap(),
            _ => fs::remove_file(&stored).unwrap(),
        }
        fs::remove_dir_all(node.data().join("cache")).unwrap();

        // The node is ready without it: one bad bundle is no reason to serve nothing.
        node.restart().await;
        bystander::assert_serves(&node).await;
        node.get("/hello/").await.expect_problem(503, "app-unavailable");
        let line = node.log_line(&["ERROR", "the active release cannot be loaded", reason]).await;
        assert_eq!((&line["app.name"], &line["release.number"]), (&json!("hello"), &json!("1")));
        assert!(line["message"].as_str().unwrap().contains(&digest), "{line}");

        // The same bytes are the same release: it is there already, but now from a good copy.
        let healed = node.publish_wasm("hello", component.clone()).await;
        assert_eq!((&healed["release"], &healed["digest"]), (&json!(1), &json!(digest)));
        eventually("hello serves again", async || (node.get("/hello/").await.status == 200).then_some(()))
            .await;
        assert_eq!(node.get("/hello/").await.text(), "release 00001\n", "{what}");
        // It lasts: the stored copy is good again.
        node.kill9();
        fs::remove_dir_all(node.data().join("cache")).unwrap();
        node.restart().await;
        assert_eq!(node.get("/hello/").await.expect(200).text(), "release 00001\n", "{what}");
    }
}
