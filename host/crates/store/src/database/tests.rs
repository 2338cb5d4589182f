use std::time::Duration;

use typecase_harness::eventually;
use typecase_model::NodeId;

use crate::sql::sql;
use crate::testing::{TestStore, candidate, on_both_databases, publish};

on_both_databases!(
    calls_that_are_dropped_half_way_harm_no_other,
    an_insert_of_what_is_new_hides_nothing_but_that_it_is_there,
);

/// A client leaves, a deadline passes: at any moment, within a transaction or while it begins.
async fn calls_that_are_dropped_half_way_harm_no_other(test: TestStore) {
    let node: NodeId = "a".parse().unwrap();
    test.store.register_node(&node, "a", "", "", "1").await.unwrap();
    for round in 0..300u64 {
        let app = format!("app-{}", round % 7);
        let patience = Duration::from_micros(round * 20);
        let call = async {
            test.store.heartbeat(&node, "").await?;
            let candidacy = publish(&test.store, &app, &round.to_le_bytes(), true).await?;
            let (release, generation) = candidate(candidacy);
            test.store.activate(&release.app, release.number, generation).await?;
            test.store.withdraw(&release.app).await
        };
        let _ = tokio::time::timeout(patience, call).await;
    }
    for number in 0..50 {
        let id: NodeId = format!("node-{number}").parse().unwrap();
        test.store.register_node(&id, "a name", "", "", "1").await.unwrap();
        test.store.set_draining(&id, true).await.unwrap();
    }
    // A change that a left-over transaction had swallowed would be gone.
    let test = test.reopen().await;
    let nodes = test.store.nodes().await.unwrap();
    assert_eq!(nodes.iter().filter(|node| node.draining).count(), 50);
    for app in test.store.desired().await.unwrap() {
        let releases = test.store.releases(&app.app.name, 1_000).await.unwrap();
        assert_eq!(releases.first().map(|release| release.number.0), Some(releases.len() as u32));
    }
    if test.is_shared() {
        eventually("the dropped calls' transactions and connections are gone", async || {
            let connected = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'typecase'";
            let connected: u32 = test.raw(connected).await.trim().parse().unwrap();
            (test.transactions().await.is_empty() && connected <= 8).then_some(())
        })
        .await;
    }
}

async fn an_insert_of_what_is_new_hides_nothing_but_that_it_is_there(test: TestStore) {
    let mut tx = test.store.database.write().await.unwrap();
    let insert = "{insert new} bundles (digest, state, touched_unix_ms) VALUES (?, ?, 1)";
    for matched in [1, 0] {
        assert_eq!(sql(insert).bind("a").bind("stored").execute(&mut tx).await.unwrap(), matched);
    }
    sql(insert).bind(None::<&str>).bind("stored").execute(&mut tx).await.unwrap_err();
    sql(insert).bind("b").bind(None::<&str>).execute(&mut tx).await.unwrap_err();
    let orphan = "{insert new} sign_ins (token_hash, user_name, created_unix_ms, expires_unix_ms)
                  VALUES ('x', 'nobody', 1, 1)";
    sql(orphan).execute(&mut tx).await.unwrap_err();
    // The transaction goes on.
    tx.commit().await.unwrap();
    let mut connection = test.store.database.single().await.unwrap();
    let kept = sql("SELECT digest FROM bundles").fetch_all(&mut connection).await.unwrap();
    assert_eq!(kept.len(), 1);
}

/// SQLite rolls back by itself when a file may grow no further.
#[tokio::test]
async fn a_full_disk_is_survived_without_a_restart() {
    let test = TestStore::on_sqlite().await;
    let node: NodeId = "a".parse().unwrap();
    let mut tx = test.store.database.write().await.unwrap();
    sql("PRAGMA max_page_count = 1").execute(&mut tx).await.unwrap();
    let insert = "{insert new} bundles (digest, state, touched_unix_ms) VALUES (?, ?, 1)";
    sql(insert).bind("x".repeat(100_000)).bind("stored").execute(&mut tx).await.unwrap_err();
    drop(tx);
    test.store.register_node(&node, "a", "", "", "1").await.unwrap();
    assert_eq!(test.store.nodes().await.unwrap().len(), 1);
}
