use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Barrier;
use typecase_model::settings::Retention;
use typecase_model::{Generation, ReceiptState, Role, Settings};

use super::*;
use crate::sql::sql;
use crate::testing::{candidate, name, publish, receipt};
use crate::{Candidacy, NewSettings, User};

/// Several nodes of one cluster.
async fn nodes(test: &TestStore, count: usize) -> Vec<Store> {
    let mut nodes = vec![test.store.clone()];
    while nodes.len() < count {
        nodes.push(test.another_node().await);
    }
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_transactions_that_met_are_both_made() {
    let test = TestStore::on_mariadb().await;
    let apps = ["one", "two"];
    for app in apps {
        test.publish(app, b"1").await.unwrap();
    }
    let both_hold_one = Arc::new(Barrier::new(2));
    let crossing = |first: &'static str, second: &'static str| {
        let (store, barrier) = (test.store.clone(), both_hold_one.clone());
        tokio::spawn(async move {
            let met = Mutex::new(false);
            let change = "UPDATE apps SET last_release = last_release + 10 WHERE name = ?";
            store
                .within("cross another transaction", || async {
                    let mut tx = store.database.write().await?;
                    sql(change).bind(first).execute(&mut tx).await?;
                    let is_first = !std::mem::replace(&mut *met.lock().unwrap(), true);
                    if is_first {
                        barrier.wait().await;
                    }
                    sql(change).bind(second).execute(&mut tx).await?;
                    tx.commit().await
                })
                .await
        })
    };
    let (one, two) = (crossing("one", "two"), crossing("two", "one"));
    one.await.unwrap().unwrap();
    two.await.unwrap().unwrap();
    assert_eq!(test.raw("SELECT DISTINCT last_release FROM apps").await.trim(), "21");
    assert_ne!(test.server().status("Innodb_deadlocks").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_first_releases_of_an_app_one_is_made() {
    let test = TestStore::on_mariadb().await;
    let nodes = nodes(&test, 4).await;
    for round in 0..10 {
        let app = format!("app-{round}");
        let publishes: Vec<_> = (0..8u8)
            .map(|publisher| {
                let (store, app) = (nodes[publisher as usize % nodes.len()].clone(), app.clone());
                tokio::spawn(async move { publish(&store, &app, &[publisher], true).await })
            })
            .collect();
        let mut made = Vec::new();
        for publish in publishes {
            match publish.await.unwrap() {
                Ok(candidacy) => made.push(candidate(candidacy)),
                Err(StoreError::Conflict(conflict)) => assert_eq!(conflict.found, Generation(1)),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(made.len(), 1, "round {round}");
        assert_eq!((made[0].0.number.0, made[0].1), (1, Generation(1)));
    }
    assert_whole(&test).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_first_users_on_several_nodes_one_is_made() {
    let test = TestStore::on_mariadb().await;
    let nodes = nodes(&test, 4).await;
    for round in 0..10 {
        for (number, store) in nodes.iter().enumerate() {
            let node = format!("node-{number}").parse().unwrap();
            store.replace_setup_link(&node, &format!("link-{number}")).await.unwrap();
        }
        let setups: Vec<_> = (0..8)
            .map(|number| {
                let store = nodes[number % nodes.len()].clone();
                tokio::spawn(async move {
                    let (name, password_hash) = (format!("user-{number}"), "x".to_owned());
                    let link = format!("link-{}", number % 4);
                    // By a link, and by a script.
                    let link = (number < 4).then_some(&*link);
                    store
                        .create_first_user(&User { name, password_hash, role: Role::Admin }, link)
                        .await
                        .unwrap()
                })
            })
            .collect();
        let mut made = 0;
        for setup in setups {
            made += u32::from(setup.await.unwrap());
        }
        assert_eq!(made, 1, "round {round}");
        assert_eq!(test.raw("SELECT COUNT(*) FROM users").await.trim(), "1");
        assert_eq!(test.raw("SELECT COUNT(*) FROM setup_links").await.trim(), "0");
        test.raw("DELETE FROM users").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn receipts_of_many_nodes_at_once_are_all_there_or_refused() {
    let test = TestStore::on_mariadb().await;
    let nodes = nodes(&test, 3).await;
    for round in 0..10u8 {
        let (release, generation) = candidate(test.publish("hello", &[round]).await.unwrap());
        let receipts: Vec<_> = (0..12)
            .map(|number| {
                let store = nodes[number % nodes.len()].clone();
                let receipt =
                    receipt("hello", release.number.0, &format!("node-{number}"), ReceiptState::Prepared);
                tokio::spawn(async move { store.put_receipt(&receipt, generation).await.unwrap() })
            })
            .collect();
        let activated = nodes[1].activate(&release.app, release.number, generation).await.unwrap();
        let mut recorded = 0;
        for receipt in receipts {
            recorded += usize::from(receipt.await.unwrap());
        }
        assert!(activated);
        assert_eq!(test.store.receipts(&release.app, release.number).await.unwrap().len(), recorded);
    }
    assert_whole(&test).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn settings_changed_on_several_nodes_at_once_are_one_sequence() {
    let test = TestStore::on_mariadb().await;
    let nodes = nodes(&test, 4).await;
    let changes: Vec<_> = (0..8u64)
        .map(|changer| {
            let store = nodes[changer as usize % nodes.len()].clone();
            tokio::spawn(async move {
                let mut won = Vec::new();
                while won.len() < 10 {
                    let expected = store.settings_generation().await.unwrap();
                    let document = serde_json::json!({ "drain.delay_ms": changer }).to_string();
                    let settings = Settings::parse(&document).unwrap();
                    let new = NewSettings { expected, settings: &settings, changed_by: "admin", note: "" };
                    match store.change_settings(&new).await {
                        Ok(revision) => won.push(revision.generation),
                        Err(StoreError::Outdated { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                won
            })
        })
        .collect();
    let mut won = Vec::new();
    for change in changes {
        won.extend(change.await.unwrap());
    }
    won.sort_unstable();
    assert_eq!(won, (1..=80).map(Generation).collect::<Vec<_>>());
}

/// Which generations of each app somebody was told to have made.
type Claims = Mutex<BTreeMap<(String, u64), u32>>;

/// Everything that changes an app, from several nodes, in a different order on each.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_change_of_an_app_is_lost_in_a_storm() {
    const STEPS: u64 = 60;
    let test = TestStore::on_mariadb().await;
    let nodes = nodes(&test, 3).await;
    let claims: Arc<Claims> = Arc::default();
    let actors: Vec<_> = (0..9)
        .map(|actor| {
            let (store, claims) = (nodes[actor as usize % nodes.len()].clone(), claims.clone());
            tokio::spawn(async move {
                for step in 0..STEPS {
                    match act(&store, actor, step, &claims).await {
                        Ok(()) => {}
                        Err(
                            StoreError::Conflict(_) | StoreError::Outdated { .. } | StoreError::NotFound(_),
                        ) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for actor in actors {
        actor.await.unwrap();
    }
    let claims = Arc::into_inner(claims).unwrap().into_inner().unwrap();
    for app in test.store.list_apps().await.unwrap() {
        for generation in 1..=app.generation.0 {
            let claimed = claims.get(&(app.name.to_string(), generation));
            assert_eq!(claimed, Some(&1), "generation {generation} of {} of {}", app.generation, app.name);
        }
    }
    assert!(claims.len() > 100, "{} changes were made", claims.len());
    assert_whole(&test).await;
}

async fn act(store: &Store, actor: u64, step: u64, claims: &Claims) -> Result<(), StoreError> {
    // Scattered, and the same in each run.
    let dice = (actor * 1_000 + step).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let app = name(["one", "two"][dice as usize % 2]);
    let claim = |generation: Generation| {
        *claims.lock().unwrap().entry((app.to_string(), generation.0)).or_default() += 1;
    };
    let rollout = store.rollout(&app).await?;
    let node = format!("node-{actor}");
    match (dice / 2 % 10, rollout) {
        (0 | 1, Some(rollout)) => {
            if store.abort(&app, rollout.candidate.number, rollout.app.generation, "no").await? {
                claim(Generation(rollout.app.generation.0 + 1));
            }
        }
        (2..=5, Some(rollout)) => {
            let (number, generation) = (rollout.candidate.number, rollout.app.generation);
            let receipt = receipt(app.as_str(), number.0, &node, ReceiptState::Prepared);
            store.put_receipt(&receipt, generation).await?;
            if store.activate(&app, number, generation).await? {
                claim(Generation(generation.0 + 1));
            }
        }
        (6, _) => {
            let retention = Retention { releases: 5, age_ms: None };
            store.collect(&node.parse().unwrap(), &retention, 3_600_000).await?;
        }
        (7, _) => {
            store.register_node(&node.parse().unwrap(), &node, "", "", "1").await?;
            store.heartbeat(&node.parse().unwrap(), "").await?;
        }
        (8, None) => {
            if let Some(number) = store.previously_active(&app).await?
                && let Candidacy::Candidate(_, generation) = store.make_candidate(&app, number, None).await?
            {
                claim(generation);
            }
        }
        _ => {
            let bytes = [actor.to_le_bytes(), step.to_le_bytes()].concat();
            if let Candidacy::Candidate(_, generation) = publish(store, app.as_str(), &bytes, true).await? {
                claim(generation);
            }
        }
    }
    Ok(())
}
