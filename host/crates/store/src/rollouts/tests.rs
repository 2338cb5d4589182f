use typecase_model::{NodeHealth, ReceiptState, ReleaseState};

use super::*;
use crate::Candidacy;
use crate::testing::{TestStore, candidate, name, on_both_databases, publish, receipt};

on_both_databases!(
    of_several_nodes_exactly_one_activates,
    roll_back_forth_and_give_up,
    a_release_without_activation_waits_and_is_activated_later,
    receipts_of_another_attempt_do_not_count,
    an_unreadable_release_does_not_hide_the_other_apps,
    a_node_that_signs_off_is_lost_at_once,
);

async fn of_several_nodes_exactly_one_activates(test: TestStore) {
    test.release("hello", b"one").await;
    let (release, generation) = candidate(test.publish("hello", b"two").await.unwrap());
    let attempts: Vec<_> = (0..8)
        .map(|_| {
            let (store, app) = (test.store.clone(), release.app.clone());
            let number = release.number;
            tokio::spawn(async move { store.activate(&app, number, generation).await.unwrap() })
        })
        .collect();
    let mut winners = 0;
    for attempt in attempts {
        winners += u32::from(attempt.await.unwrap());
    }
    assert_eq!(winners, 1);
    let app = test.store.app(&release.app).await.unwrap();
    assert_eq!((app.active, app.candidate), (Some(release.number), None));
    assert_eq!(app.generation.0, generation.0 + 1);
    let states: Vec<_> = test.store.releases(&app.name, 10).await.unwrap().iter().map(|r| r.state).collect();
    assert_eq!(states, [ReleaseState::Active, ReleaseState::Retired]);
}

async fn roll_back_forth_and_give_up(test: TestStore) {
    let app = name("hello");
    test.release("hello", b"one").await;
    test.release("hello", b"two").await;
    assert_eq!(test.store.previously_active(&app).await.unwrap(), Some(ReleaseNumber(1)));
    let (back, generation) =
        candidate(test.store.make_candidate(&app, ReleaseNumber(1), None).await.unwrap());
    assert_eq!(back.state, ReleaseState::Preparing);
    assert!(test.store.abort(&app, back.number, generation, "node a: no").await.unwrap());
    // It served once, so it stays one to roll back to; the active release never changed.
    let back = test.store.release(&app, back.number).await.unwrap();
    assert_eq!((back.state, back.failure.as_deref()), (ReleaseState::Retired, Some("node a: no")));
    assert_eq!(test.store.app(&app).await.unwrap().active, Some(ReleaseNumber(2)));
    let same = test.store.make_candidate(&app, ReleaseNumber(2), None).await.unwrap();
    assert!(matches!(same, Candidacy::AlreadyActive(..)));

    let (third, _) = candidate(test.publish("hello", b"three").await.unwrap());
    let gone = test.store.withdraw(&app).await.unwrap();
    assert_eq!((gone.active, gone.candidate), (None, None));
    assert_eq!(test.store.release(&app, third.number).await.unwrap().state, ReleaseState::Failed);
    assert_eq!(test.store.previously_active(&app).await.unwrap(), Some(ReleaseNumber(2)));
    // Withdrawing twice changes nothing.
    assert_eq!(test.store.withdraw(&app).await.unwrap(), gone);
}

async fn a_release_without_activation_waits_and_is_activated_later(test: TestStore) {
    let (release, generation) = candidate(publish(&test.store, "hello", b"one", false).await.unwrap());
    let (app, number) = (release.app, release.number);
    assert!(test.store.finish_prepared(&app, number, generation).await.unwrap());
    let waiting = test.store.release(&app, number).await.unwrap();
    assert_eq!((waiting.state, waiting.activate), (ReleaseState::Prepared, false));
    let (release, generation) = candidate(test.store.make_candidate(&app, number, None).await.unwrap());
    assert!(release.activate);
    assert!(test.store.activate(&app, number, generation).await.unwrap());
}

async fn receipts_of_another_attempt_do_not_count(test: TestStore) {
    let (release, generation) = candidate(test.publish("hello", b"one").await.unwrap());
    let app = release.app.clone();
    test.store.register_node(&"a".parse().unwrap(), "a", "", "", "1").await.unwrap();
    let failed = receipt("hello", 1, "a", ReceiptState::Failed);
    assert!(test.store.put_receipt(&failed, generation).await.unwrap());
    let rollout = test.store.rollout(&app).await.unwrap().unwrap();
    assert_eq!(rollout.receipts[0].state, ReceiptState::Failed);
    assert_eq!(rollout.nodes[0].health, NodeHealth::Live);
    assert!(rollout.now_unix_ms >= rollout.candidate_since_unix_ms);

    assert!(test.store.abort(&app, release.number, generation, "no").await.unwrap());
    assert!(test.store.rollout(&app).await.unwrap().is_none());
    test.store.make_candidate(&app, release.number, None).await.unwrap();
    assert!(!test.store.put_receipt(&failed, generation).await.unwrap());
    assert!(test.store.rollout(&app).await.unwrap().unwrap().receipts.is_empty());
}

async fn an_unreadable_release_does_not_hide_the_other_apps(test: TestStore) {
    test.release("broken", b"one").await;
    test.release("fine", b"one").await;
    let mut tx = test.store.database.write().await.unwrap();
    sql("UPDATE releases SET manifest = '{\"new\":1}' WHERE app = 'broken'").execute(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    let desired = test.store.desired().await.unwrap();
    assert!(desired[0].active.is_none() && desired[0].unreadable.is_some());
    assert!(desired[1].active.is_some() && desired[1].unreadable.is_none());
    assert_eq!(test.store.desired_of(&name("fine")).await.unwrap().as_ref(), Some(&desired[1]));
    assert_eq!(test.store.generations().await.unwrap().len(), 2);
}

async fn a_node_that_signs_off_is_lost_at_once(test: TestStore) {
    let id = "a".parse().unwrap();
    assert!(test.store.heartbeat(&id, "").await.unwrap().is_none());
    test.store.register_node(&id, "a", "127.0.0.1:1", "127.0.0.1:2", "1").await.unwrap();
    assert!(test.store.heartbeat(&id, "").await.unwrap().is_some());
    assert_eq!(test.store.live_nodes().await.unwrap().len(), 1);
    test.store.sign_off(&id).await.unwrap();
    assert!(test.store.live_nodes().await.unwrap().is_empty());
    assert_eq!(test.store.nodes().await.unwrap()[0].health, NodeHealth::Lost);
}
