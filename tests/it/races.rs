//! Two publishes of one app at once: one order, one winner each, and a loser who is told.

use serde_json::json;
use typecase_harness::bundles::Bundle;
use typecase_harness::{Answer, TestNode};

use crate::bystander::Bystander;

const PAIRS: u64 = 100;

/// Assets only: what is raced for is the order, not the compiler.
fn bundle(pair: u64, side: &str) -> Vec<u8> {
    Bundle::of("race").asset("index.html", format!("pair {pair} {side}")).zip()
}

#[tokio::test]
async fn of_two_publishes_at_once_exactly_one_wins_and_the_other_is_told_both_generations() {
    let node = TestNode::start().await;
    let bystander = Bystander::on(&node).await;
    let api = node.api();
    let mut generation = 0;
    for pair in 0..PAIRS {
        let query = format!("?expected_generation={generation}");
        let (left, right) = tokio::join!(
            api.publish("race", bundle(pair, "left"), &query),
            api.publish("race", bundle(pair, "right"), &query),
        );
        let (winner, loser, side) = match (left.status, right.status) {
            (200, 409) => (left, right, "left"),
            (409, 200) => (right, left, "right"),
            _ => panic!("pair {pair} has no single winner: {left:?} {right:?}"),
        };
        let winner = winner.json();
        assert_eq!((&winner["state"], &winner["release"]), (&json!("active"), &json!(pair + 1)));
        generation = winner["generation"].as_u64().unwrap();
        assert_told(loser, pair * 2, [pair * 2 + 1, pair * 2 + 2]);
        assert_eq!(node.get("/race/").await.expect(200).text(), format!("pair {pair} {side}"));
    }
    // Each rollout raises the generation when it begins and when it ends: nobody else changed anything.
    let app = api.app("race").await;
    assert_eq!((&app["generation"], &app["active"]), (&json!(2 * PAIRS), &json!(PAIRS)));
    bystander.went_on().await;
}

/// The loser learns which generation it had seen, and at which one the app is now.
#[track_caller]
fn assert_told(loser: Answer, expected: u64, found: [u64; 2]) {
    let code = loser.json()["code"].as_str().unwrap_or_default().to_owned();
    assert!(["generation-conflict", "rollout-in-progress"].contains(&code.as_str()), "{loser:?}");
    let problem = loser.expect_problem(409, &code);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("expected {expected}")), "{detail}");
    assert!(found.iter().any(|found| detail.contains(&format!("generation {found}"))), "{detail}");
}

#[tokio::test]
async fn publishes_that_expect_nothing_are_put_in_order_too() {
    let node = TestNode::start().await;
    let api = node.api();
    let mut won = 0;
    for pair in 0..20 {
        let (left, right) = tokio::join!(
            api.publish("race", bundle(pair, "left"), ""),
            api.publish("race", bundle(pair, "right"), "")
        );
        for answer in [&left, &right] {
            match answer.status {
                200 => won += 1,
                _ => drop(answer.clone().expect_problem(409, "rollout-in-progress")),
            }
        }
        assert!(left.status == 200 || right.status == 200, "{left:?} {right:?}");
    }
    // No update is lost: every publish that was told it won is a release, and the last of them serves.
    let releases = api.releases("race").await;
    assert_eq!(releases.len(), won.min(50));
    assert_eq!(releases[0]["number"], won);
    let active = releases.iter().filter(|release| release["state"] == "active").count();
    assert_eq!((active, &releases[0]["state"]), (1, &json!("active")));
}
