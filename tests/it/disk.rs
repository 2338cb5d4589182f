//! The node's own disk fills up: publishing says so, serving goes on, and freeing space is all it takes.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use typecase_harness::bundles::Bundle;
use typecase_harness::{TestNode, guests};

use crate::bystander::Bystander;

/// Room for a node with two apps and little more.
const DISK_BYTES: &str = "size=24m";

/// A small disk of its own, unmounted in the end.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None when this user may not mount.
    pub fn mount(folder: &Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", DISK_BYTES, "tmpfs"])
            .arg(folder)
            .output()
            .ok()?;
        mounted.status.success().then(|| Self(folder.to_path_buf()))
    }

    /// Writes a file until nothing fits any more.
    pub fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = File::create(&path).unwrap();
        for piece in [64 << 10, 1 << 10, 1] {
            while file.write_all(&vec![b'.'; piece]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_stops_publishing_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path()) else {
        println!("skipped: mounting a small disk takes root");
        return;
    };
    let mut node = TestNode::builder().data(&folder.path().join("data")).start().await;
    let bystander = Bystander::on(&node).await;
    node.publish_wasm("hello", guests::hello_saying(1)).await;

    let filler = disk.fill();
    for upload in [
        Bundle::of("hello").component(guests::hello_saying(2)).zip(),
        guests::hello_saying(2),
        Bundle::of("hello").asset("large.bin", noise(4 << 20)).zip(),
    ] {
        let answer = node.api().publish("hello", upload, "").await;
        assert!((500..600).contains(&answer.status), "{answer:?}");
        let problem: Value = answer.json();
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("disk")), "{problem}");
        assert_eq!(node.get("/hello/").await.expect(200).text(), "release 00001\n");
    }
    node.admin_get("/readyz").await.expect(200);

    fs::remove_file(filler).unwrap();
    typecase_harness::eventually("publishing works again", async || {
        let answer = node.api().publish("hello", guests::hello_saying(3), "").await;
        (answer.status == 200).then_some(())
    })
    .await;
    assert_eq!(node.get("/hello/").await.text(), "release 00003\n");
    bystander.went_on().await;
    assert_eq!(node.terminate().await.code(), Some(0), "{}", node.log());
}

/// Bytes that do not compress.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}
