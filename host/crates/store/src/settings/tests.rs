use serde_json::json;

use super::*;
use crate::testing::{TestStore, on_both_databases};

on_both_databases!(
    each_change_is_kept_under_its_generation,
    a_change_of_something_else_is_refused_with_both_generations,
    of_two_changes_at_once_one_wins,
    the_history_is_bounded_and_an_old_expectation_stays_refused,
    a_node_has_one_receipt,
);

fn settings(delay_ms: u64) -> Settings {
    Settings::parse(&json!({ "drain.delay_ms": delay_ms }).to_string()).unwrap()
}

async fn change(store: &Store, expected: u64, delay_ms: u64) -> Result<SettingsRevision, StoreError> {
    let settings = settings(delay_ms);
    let new =
        NewSettings { expected: Generation(expected), settings: &settings, changed_by: "admin", note: "why" };
    store.change_settings(&new).await
}

fn receipt(node: &str, generation: u64) -> SettingsReceipt {
    SettingsReceipt {
        node: node.parse().unwrap(),
        generation: Generation(generation),
        state: SettingsState::Applied,
        detail: None,
        ignored: Vec::new(),
        at_unix_ms: 0,
    }
}

async fn each_change_is_kept_under_its_generation(test: TestStore) {
    assert_eq!(test.store.settings().await.unwrap(), never_set());
    assert_eq!(test.store.settings_generation().await.unwrap(), Generation(0));
    let first = change(&test.store, 0, 1).await.unwrap();
    let second = change(&test.store, 1, 2).await.unwrap();
    assert!(second.created_unix_ms >= first.created_unix_ms && first.created_unix_ms > 0);

    let test = test.reopen().await;
    assert_eq!(test.store.settings().await.unwrap(), second);
    assert_eq!(test.store.settings_generation().await.unwrap(), Generation(2));
    assert_eq!(test.store.settings_at(Generation(1)).await.unwrap(), first);
    assert_eq!(test.store.settings_at(Generation(0)).await.unwrap(), never_set());
    let missing = test.store.settings_at(Generation(3)).await.unwrap_err();
    assert!(matches!(missing, StoreError::NotFound(_)), "{missing}");
    assert_eq!(test.store.settings_history(10).await.unwrap(), [second.clone(), first]);
    assert_eq!(test.store.settings_history(1).await.unwrap(), [second]);
}

async fn a_change_of_something_else_is_refused_with_both_generations(test: TestStore) {
    change(&test.store, 0, 1).await.unwrap();
    change(&test.store, 1, 2).await.unwrap();
    for stale in [0, 1, 3, u64::MAX] {
        let refused = change(&test.store, stale, 9).await.unwrap_err();
        let StoreError::Outdated { expected, found, .. } = refused else { panic!("{refused}") };
        assert_eq!((expected, found), (Generation(stale), Generation(2)));
    }
    assert_eq!(test.store.settings().await.unwrap().settings, settings(2));
}

async fn of_two_changes_at_once_one_wins(test: TestStore) {
    for round in 0..20 {
        let racers = (0..5).map(|racer| {
            let store = test.store.clone();
            tokio::spawn(async move { change(&store, round, racer).await })
        });
        let racers: Vec<_> = racers.collect();
        let (mut winners, mut losers) = (Vec::new(), 0);
        for racer in racers {
            match racer.await.unwrap() {
                Ok(revision) => winners.push(revision),
                Err(StoreError::Outdated { found, .. }) if found == Generation(round + 1) => losers += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!((winners.len(), losers), (1, 4));
        assert_eq!(test.store.settings().await.unwrap(), winners[0]);
    }
}

async fn the_history_is_bounded_and_an_old_expectation_stays_refused(test: TestStore) {
    test.store.put_settings_receipt(&receipt("gone", 1)).await.unwrap();
    let count = u64::from(SETTINGS_KEPT) + 5;
    for generation in 0..count {
        change(&test.store, generation, 1).await.unwrap();
        if generation == 100 {
            test.store.put_settings_receipt(&receipt("here", generation)).await.unwrap();
        }
    }
    let history = test.store.settings_history(1_000).await.unwrap();
    assert_eq!(history.len(), SETTINGS_KEPT as usize);
    assert_eq!(history.last().unwrap().generation, Generation(6));
    // Its row would be free again.
    assert!(matches!(change(&test.store, 2, 9).await, Err(StoreError::Outdated { .. })));
    assert!(matches!(test.store.settings_at(Generation(5)).await, Err(StoreError::NotFound(_))));
    let nodes: Vec<String> =
        test.store.settings_receipts().await.unwrap().into_iter().map(|r| r.node.to_string()).collect();
    assert_eq!(nodes, ["here"]);
}

async fn a_node_has_one_receipt(test: TestStore) {
    test.store.put_settings_receipt(&receipt("a", 1)).await.unwrap();
    let failed = SettingsReceipt {
        state: SettingsState::Failed,
        detail: Some("é".repeat(4_000)),
        ignored: vec!["log.colour".to_owned(), "log.size".to_owned()],
        ..receipt("a", 2)
    };
    test.store.put_settings_receipt(&failed).await.unwrap();
    test.store.put_settings_receipt(&receipt("b", 2)).await.unwrap();
    let mut receipts = test.store.settings_receipts().await.unwrap();
    assert_eq!(receipts.len(), 2);
    let kept = receipts.remove(0);
    assert_eq!(kept.detail.as_ref().unwrap().len(), DETAIL_BYTES_MAX);
    assert!(kept.at_unix_ms > 0);
    assert_eq!(SettingsReceipt { detail: failed.detail.clone(), at_unix_ms: 0, ..kept }, failed);
    // Never more keys than the column holds.
    let many = (0..10_000).map(|number| format!("key.{number}")).collect();
    test.store.put_settings_receipt(&SettingsReceipt { ignored: many, ..receipt("a", 3) }).await.unwrap();
}
