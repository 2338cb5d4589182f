//! Stored bundles that are damaged or missing: never served, and put back from a good copy wherever there is one.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use typecase_harness::{Cluster, Storage, TestNode, files, guests};

use crate::cluster::{FIRST, load_on_all, publish_first, stop_all};

/// The object that holds a release's bundle.
fn stored(cluster: &Cluster, digest: &str) -> PathBuf {
    let hex = hex(digest);
    cluster.storage_folder().join("bundles/sha256").join(&hex[..2]).join(hex)
}

/// A node's own copy of it.
fn copy(node: &TestNode, digest: &str) -> PathBuf {
    node.data().join("cache/bundles").join(hex(digest))
}

fn hex(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap()
}

fn digest_of(release: &Value) -> String {
    release["digest"].as_str().unwrap().to_owned()
}

async fn damaged_and_missing(storage: Storage) {
    let mut cluster = Cluster::builder().storage(storage).nodes(2).start().await;
    publish_first(&cluster).await;
    for other in ["one", "two", "three"] {
        cluster.nodes[1].publish_wasm(other, guests::hello_saying(7)).await;
    }
    let first = digest_of(&cluster.nodes[0].api().releases("hello").await[0]);
    let object = stored(&cluster, &first);
    let good = fs::read(&object).unwrap();

    // A node that joins finds what is active damaged; before it is ready, it has got it back.
    for missing in [false, true] {
        match missing {
            false => files::damage(&object),
            true => fs::remove_file(&object).unwrap(),
        }
        let joined = cluster.add_node().await;
        let hello = joined.get("/hello/").await.expect(200).text();
        assert_eq!(hello.trim_end(), guests::greeting(FIRST), "{}", joined.log());
        for other in ["/one/", "/two/", "/three/"] {
            assert_eq!(joined.get(other).await.expect(200).text().trim_end(), guests::greeting(7));
        }
        assert!(fs::read(&object).unwrap() == good, "the stored bundle is whole again");
    }

    let loads = load_on_all(&cluster);
    let second = cluster.nodes[0].publish_wasm("hello", guests::hello_saying(FIRST + 1)).await;
    cluster.all_answer("/hello/", &guests::greeting(FIRST + 1)).await;
    // A node has lost its own copy of what is rolled back to, too.
    files::damage(&object);
    fs::remove_dir_all(copy(&cluster.nodes[1], &first)).unwrap();
    cluster.nodes[2].cli(["rollback", "hello", "--json"]).await.expect(0);
    for node in &cluster.nodes {
        assert_eq!(node.get("/hello/").await.expect(200).text().trim_end(), guests::greeting(FIRST));
    }
    assert!(fs::read(&object).unwrap() == good);
    for load in loads {
        load.stop().await.assert_no_failures(30);
    }

    // Nobody has a good copy: it is refused by everyone, and never served.
    let loads = load_on_all(&cluster);
    let digest = digest_of(&second);
    files::damage(&stored(&cluster, &digest));
    for node in &cluster.nodes {
        fs::remove_dir_all(copy(node, &digest)).unwrap();
    }
    let refused = cluster.nodes[0].api().activate("hello", second["release"].as_u64().unwrap()).await;
    let problem = refused.expect_problem(422, "release-failed");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("corrupt") && detail.contains(hex(&digest)), "{problem}");
    cluster.all_answer("/hello/", &guests::greeting(FIRST)).await;
    for load in loads {
        let history = load.stop().await;
        history.assert_no_failures(30);
        assert!(history.records.iter().all(|record| record.release == Some(FIRST)), "nobody served it");
    }
    // Whoever has the bundle still only has to publish it again.
    let loads = load_on_all(&cluster);
    cluster.nodes[3].publish_wasm("hello", guests::hello_saying(FIRST + 1)).await;
    cluster.all_answer("/hello/", &guests::greeting(FIRST + 1)).await;
    stop_all(loads).await;
}

#[tokio::test]
async fn damaged_and_missing_bundles_are_put_back() {
    damaged_and_missing(Storage::Folder).await;
}

#[tokio::test]
async fn damaged_and_missing_bundles_are_put_back_on_s3() {
    damaged_and_missing(Storage::S3).await;
}
