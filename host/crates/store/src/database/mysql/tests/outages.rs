use std::time::Duration;

use sqlx::ConnectOptions as _;
use typecase_harness::DEADLINE;
use typecase_model::NodeId;

use super::*;
use crate::sql::sql;
use crate::testing::{candidate, name, publish};
use crate::{Candidacy, DatabaseUrl};

fn node() -> NodeId {
    "a".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_stopped_and_comes_back_twice() {
    let mut test = TestStore::on_mariadb_with_deadlines().await;
    for stop_in_order in [true, false] {
        test.release("hello", &[u8::from(stop_in_order)]).await;
        match stop_in_order {
            true => test.server_mut().stop().await,
            false => test.server_mut().kill9(),
        }
        let error = test.store.app(&name("hello")).await.unwrap_err();
        assert!(error.may_be_retried(), "{error}");
        let refused = known_down(&test.store).await.to_string();
        assert!(
            refused.contains("reach the database") && refused.contains("Connection refused"),
            "{refused}"
        );
        test.server_mut().start_again().await;
        works_again(&test.store).await;
    }
    assert_eq!(test.store.app(&name("hello")).await.unwrap().generation.0, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_frozen_server_fails_one_round_of_calls_and_is_known_to_be_down_then() {
    let test = TestStore::on_mariadb_with_deadlines().await;
    for _ in 0..2 {
        test.server().pause().await;
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let store = test.store.clone();
                tokio::spawn(async move { store.list_apps().await })
            })
            .collect();
        for call in calls {
            let error = call.await.unwrap().unwrap_err();
            assert!(error.may_be_retried(), "{error}");
        }
        // Nobody waits for a deadline again.
        let error = test.store.ping().await.unwrap_err();
        assert!(is_known_down(&error), "{error}");
        test.server().resume();
        works_again(&test.store).await;
    }
    assert_whole(&test).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_that_are_cut_leave_nothing_half_done() {
    const PUBLISHES: u8 = 30;
    let test = TestStore::on_mariadb_with_deadlines().await;
    let publishers: Vec<_> = (0..4)
        .map(|publisher| {
            let store = test.store.clone();
            tokio::spawn(async move {
                let app = format!("app-{publisher}");
                for number in 0..PUBLISHES {
                    // Whatever became of an attempt, the next one finds out.
                    while !is_active(&store, &app, number).await {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            })
        })
        .collect();
    while !publishers.iter().all(tokio::task::JoinHandle::is_finished) {
        test.server().cut_connections().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    works_again(&test.store).await;
    for app in test.store.desired().await.unwrap() {
        assert!(app.active.is_some() && app.candidate.is_none(), "{app:?}");
    }
    assert_whole(&test).await;
}

/// Goes the next step of publishing something, as far as the server allows.
async fn is_active(store: &Store, app: &str, number: u8) -> bool {
    match publish(store, app, &[number], true).await {
        Ok(Candidacy::AlreadyActive(..)) => return true,
        Err(error) => assert!(!matches!(error, StoreError::Corrupt { .. }), "{error}"),
        Ok(_) => {}
    }
    if let Ok(Some(rollout)) = store.rollout(&name(app)).await {
        let (candidate, generation) = (rollout.candidate.number, rollout.app.generation);
        let _ = store.activate(&rollout.app.name, candidate, generation).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_only_server_says_so_until_it_may_be_written_to() {
    let test = TestStore::on_mariadb_with_deadlines().await;
    works_again(&test.store).await;
    test.server().execute("SET GLOBAL read_only = 1").await;
    let error = test.store.sign_off(&node()).await.unwrap_err();
    assert!(error.may_be_retried() && error.to_string().contains("read-only"), "{error}");
    let refused = known_down(&test.store).await.to_string();
    assert!(refused.contains("read-only: after a fail-over, point the address"), "{refused}");
    test.server().execute("SET GLOBAL read_only = 0").await;
    works_again(&test.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn at_the_servers_limit_of_connections_the_ones_that_are_there_go_on() {
    let test = TestStore::on_mariadb_with_deadlines().await;
    test.store.ping().await.unwrap();
    test.server().execute("SET GLOBAL max_connections = 10").await;
    let url: DatabaseUrl = test.url().parse().unwrap();
    let mut others = Vec::new();
    while let Ok(other) = url.0.connect().await {
        others.push(other);
    }
    // The node has one connection, which is in use.
    let held = test.store.database.write().await.unwrap();
    let error = test.store.ping().await.unwrap_err();
    assert!(error.may_be_retried() && error.to_string().contains("raise its `max_connections`"), "{error}");
    drop(held);
    eventually("its connection is at rest", async || test.store.ping().await.ok()).await;
    drop(others);
    let held = test.store.database.write().await.unwrap();
    eventually("the server has connections left", async || test.store.ping().await.ok()).await;
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_call_that_waits_for_a_lock_too_long_blames_not_the_server() {
    let test = TestStore::on_mariadb_with_deadlines().await;
    let other = test.another_node().await;
    let (release, generation) = candidate(test.publish("hello", b"one").await.unwrap());
    let mut held = other.database.write().await.unwrap();
    sql("SELECT name FROM apps {for update}").fetch_all(&mut held).await.unwrap();
    for _ in 0..2 {
        let error = test.store.activate(&release.app, release.number, generation).await.unwrap_err();
        assert!(error.may_be_retried(), "{error}");
        test.store.app(&release.app).await.unwrap();
    }
    // Nor does the server go on with what nobody waits for.
    eventually("no statement waits for the lock", async || {
        (!test.transactions().await.contains("LOCK WAIT")).then_some(())
    })
    .await;
    // Whoever holds it may have lost its network: it is not waited for.
    eventually("the release is active", async || {
        test.store.activate(&release.app, release.number, generation).await.ok().filter(|active| *active)
    })
    .await;
    drop(held);
    assert_whole(&test).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_stops_while_its_server_is_frozen() {
    let test = TestStore::on_mariadb_with_deadlines().await;
    test.server().pause().await;
    let store = test.store.clone();
    let call = tokio::spawn(async move { store.list_apps().await });
    tokio::time::timeout(DEADLINE, test.store.close()).await.unwrap();
    assert!(call.await.unwrap().is_err());
    test.server().resume();
    assert!(test.store.ping().await.unwrap_err().may_be_retried());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_servers_own_defaults_change_nothing() {
    let test = TestStore::on_mariadb_with_deadlines().await;
    test.server()
        .execute(
            "SET GLOBAL sql_mode = ''; SET GLOBAL autocommit = 0; SET GLOBAL tx_isolation = 'SERIALIZABLE'",
        )
        .await;
    let store = test.another_node().await;
    store.register_node(&node(), "a name", "", "", "1").await.unwrap();
    // Outside of a transaction.
    store.set_draining(&node(), true).await.unwrap();
    assert_eq!(test.store.nodes().await.unwrap()[0].name, "a name");
    assert!(test.store.nodes().await.unwrap()[0].draining);
    // What does not fit is not cut.
    store.register_node(&node(), &"x".repeat(256), "", "", "1").await.unwrap_err();
    let long: NodeId = "b".repeat(63).parse().unwrap();
    store.register_node(&long, "", "", "", &"9".repeat(64)).await.unwrap_err();
    assert_eq!(test.store.nodes().await.unwrap().len(), 1);
    assert_eq!(test.store.nodes().await.unwrap()[0].name, "a name");
}
