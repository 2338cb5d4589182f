//! Rolling upgrades: a node of the last release and one of this version work on the same tables.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor as _};

use super::*;
use crate::testing::name;
use crate::{ClusterSecret, Store};

/// The newest change of the tables that the last release knows. Raised when a version is released.
const LAST_RELEASE: i64 = 10;

/// Changes that remove or alter something, each two releases after the last version that needs it.
const CONTRACTIONS: [i64; 0] = [];

fn secret() -> ClusterSecret {
    ClusterSecret::new(&"s".repeat(64)).unwrap()
}

#[test]
fn changes_only_add() {
    for migration in MIGRATIONS.iter().filter(|migration| !CONTRACTIONS.contains(&migration.version)) {
        let text = migration.sql.as_str().to_uppercase();
        let statement = text.trim().trim_end_matches(';');
        assert!(!statement.contains(';'), "change {}: one statement a file", migration.version);
        let adds = statement.starts_with("CREATE TABLE ") || statement.starts_with("CREATE INDEX ");
        // A node that does not know the column must be able to insert a row without it.
        let adds_column = statement.starts_with("ALTER TABLE ")
            && statement.contains(" ADD COLUMN ")
            && (statement.contains(" DEFAULT ") || !statement.contains("NOT NULL"));
        assert!(adds || adds_column, "change {} does not only add: {statement}", migration.version);
    }
}

/// What the last release left behind: an app that serves, one in the middle of a rollout, a node.
const LEFT_BEHIND: [&str; 5] = [
    "INSERT INTO apps (name, generation, last_release, active, created_unix_ms, updated_unix_ms)
     VALUES ('hello', 2, 1, 1, 5, 6)",
    "INSERT INTO releases (app, release_number, digest, manifest, note, publisher, created_unix_ms, state, activate,
                           activated_unix_ms)
     VALUES ('hello', 1, 'sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae',
             '{\"manifest_version\":1,\"app\":{\"name\":\"hello\",\"component\":\"a.wasm\"}}', '', 'admin', 5, 'active', 1, 6)",
    "INSERT INTO nodes (id, name, admin, version, started_unix_ms, heartbeat_unix_ms)
     VALUES ('old', 'old', '', '0.1.0', 1, 1)",
    "INSERT INTO bundles (digest, state, touched_unix_ms)
     VALUES ('sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae', 'stored', 5)",
    "INSERT INTO setup_links (token_hash, created_unix_ms) VALUES ('x', 1)",
];

#[tokio::test]
async fn tables_of_the_last_release_are_taken_over_and_it_can_go_on_writing() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("typecase.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut last_release = options.connect().await.unwrap();
    let known = MIGRATIONS.iter().filter(|migration| migration.version <= LAST_RELEASE).cloned().collect();
    migrator(known).run(&mut last_release).await.unwrap();
    for statement in LEFT_BEHIND {
        last_release.execute(statement).await.unwrap();
    }

    let store = Store::open_sqlite(&path, &folder.path().join("storage"), &secret()).await.unwrap();
    let desired = store.desired_of(&name("hello")).await.unwrap().unwrap();
    assert_eq!(desired.active.unwrap().number.0, 1);
    assert_eq!(desired.unreadable, None);
    assert_eq!(store.nodes().await.unwrap().len(), 1);

    // The old node is still there, and knows none of the new columns.
    for (statement, key) in [(LEFT_BEHIND[0], "'hello'"), (LEFT_BEHIND[2], "'old'"), (LEFT_BEHIND[4], "'x'")]
    {
        let statement = statement.replace(key, "'next'");
        last_release.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    }
    assert_eq!(store.list_apps().await.unwrap().len(), 2);
    assert_eq!(store.nodes().await.unwrap().len(), 2);
}

#[tokio::test]
async fn newer_tables_are_fine_until_they_say_otherwise() {
    let folder = tempfile::TempDir::new().unwrap();
    let (path, storage) = (folder.path().join("typecase.db"), folder.path().join("storage"));
    Store::open_sqlite(&path, &storage, &secret()).await.unwrap().close().await;
    let mut newer = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    newer
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'newer', TRUE, x'00', 0)",
        )
        .await
        .unwrap();
    Store::open_sqlite(&path, &storage, &secret()).await.unwrap().close().await;
    newer.execute("UPDATE clusters SET oldest_schema = 9999").await.unwrap();
    let error = Store::open_sqlite(&path, &storage, &secret()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Schema(why) if why.contains("upgrade this node")), "{error}");
}
