use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;
use typecase_harness::services::MariaDb;

use super::*;
use crate::database::migrations::newest;
use crate::sql::sql;
use crate::testing::{join, secret};
use crate::{ClusterSecret, DatabaseUrl, StorageLocation};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_start_together_make_one_cluster() {
    let server = MariaDb::start().await;
    for round in 0..3 {
        let database = format!("fresh-{round}");
        server.create_database(&database).await;
        let (url, folder) = (server.url(&database), TempDir::new().unwrap());
        std::fs::create_dir(folder.path().join("storage")).unwrap();
        let nodes = join_all((0..4).map(|_| join(&url, folder.path()))).await;
        let ids: BTreeSet<String> =
            nodes.into_iter().map(|node| node.unwrap().cluster_id().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_waits_for_its_server_but_not_for_another_password() {
    let mut test = TestStore::on_mariadb().await;
    test.server_mut().stop().await;
    let (url, storage) = (test.url(), test.folder.path().to_owned());
    let (joined, ()) = tokio::join!(join(&url, &storage), async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        test.server_mut().start_again().await;
    });
    joined.unwrap().ping().await.unwrap();
    for (right, wrong) in [("a-password", "another"), ("/cluster", "/none")] {
        let error =
            join(&test.url().replace(right, wrong), test.folder.path()).await.unwrap_err().to_string();
        assert!(error.contains("open the cluster's database") && error.contains("denied"), "{error}");
        assert!(!error.contains("for-tests"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_with_another_secret_is_refused() {
    let test = TestStore::on_mariadb().await;
    let url: DatabaseUrl = test.url().parse().unwrap();
    let storage = StorageLocation::Folder(test.folder.path().join("storage"));
    let other = ClusterSecret::new(&"another secret ".repeat(3)).unwrap();
    let error = Store::open_cluster(&url, &storage, &other).await.unwrap_err();
    assert!(matches!(&error, StoreError::Refused(why) if why.contains("copy the secret file")), "{error}");
    Store::open_cluster(&url, &storage, &secret()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn newer_tables_are_fine_until_they_say_otherwise() {
    let test = TestStore::on_mariadb().await;
    test.raw(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'newer', TRUE, x'00', 0)",
    )
    .await;
    test.another_node().await.ping().await.unwrap();
    let needed = newest() + 1;
    test.raw(&format!("UPDATE clusters SET oldest_schema = {needed}")).await;
    let error = join(&test.url(), test.folder.path()).await.unwrap_err();
    let StoreError::Schema(why) = &error else { panic!("{error}") };
    assert!(why.contains(&needed.to_string()) && why.contains("upgrade this node"), "{why}");
}

/// MySQL ends a transaction at each change of a table, so a node can die between a change and its record.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_of_the_tables_that_was_interrupted_is_finished() {
    let test = TestStore::on_mariadb().await;
    let versions = test.raw("SELECT version FROM _sqlx_migrations ORDER BY version").await;
    for version in versions.lines() {
        test.raw(&format!("UPDATE _sqlx_migrations SET success = FALSE WHERE version = {version}")).await;
        test.another_node().await.ping().await.unwrap();
        assert_eq!(test.raw("SELECT version FROM _sqlx_migrations WHERE success = FALSE").await, "");
    }
    // The same when it died before the change.
    test.raw("ALTER TABLE nodes DROP COLUMN draining").await;
    test.raw("UPDATE _sqlx_migrations SET success = FALSE WHERE description LIKE '%draining'").await;
    let again = test.another_node().await;
    again.register_node(&"a".parse().unwrap(), "a", "", "", "1").await.unwrap();
    assert!(again.heartbeat(&"a".parse().unwrap(), "").await.unwrap().is_some());
    assert_eq!(test.raw("SELECT version FROM _sqlx_migrations ORDER BY version").await, versions);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_of_the_tables_lets_a_long_read_end_and_others_pass() {
    let test = TestStore::on_mariadb().await;
    test.raw("ALTER TABLE nodes DROP COLUMN draining").await;
    test.raw("DELETE FROM _sqlx_migrations WHERE description LIKE '%draining'").await;
    let mut long_read = test.store.database.read().await.unwrap();
    sql("SELECT id FROM nodes").fetch_all(&mut long_read).await.unwrap();
    let url = test.url();
    let (joined, ()) = tokio::join!(join(&url, test.folder.path()), async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            test.store.sign_off(&"a".parse().unwrap()).await.unwrap();
        }
        drop(long_read);
    });
    joined.unwrap().set_draining(&"a".parse().unwrap(), true).await.unwrap_err();
}
