//! Two designers publish one app on two nodes at once: one order, one winner each, the same on all nodes.

use serde_json::json;
use typecase_harness::bundles::Bundle;
use typecase_harness::{Answer, Cluster};

use super::publish_first;

const PAIRS: u64 = 100;

/// Assets only: what is raced for is the order, not the compiler.
fn bundle(pair: u64, side: &str) -> Vec<u8> {
    Bundle::of("race").asset("index.html", format!("pair {pair} {side}")).zip()
}

#[tokio::test]
async fn of_two_publishes_on_two_nodes_at_once_exactly_one_wins_everywhere() {
    let cluster = Cluster::builder().start().await;
    publish_first(&cluster).await;
    let loads = super::load_on_all(&cluster);
    let (first, second) = (cluster.nodes[0].api(), cluster.nodes[1].api());
    let mut generation = 0;
    let mut wins = [0, 0];
    for pair in 0..PAIRS {
        let query = format!("?expected_generation={generation}");
        let (left, right) = tokio::join!(
            first.publish("race", bundle(pair, "left"), &query),
            second.publish("race", bundle(pair, "right"), &query),
        );
        let (winner, loser, side) = match (left.status, right.status) {
            (200, 409) => (left, right, "left"),
            (409, 200) => (right, left, "right"),
            _ => panic!("pair {pair} has no single winner: {left:?} {right:?}"),
        };
        wins[usize::from(side == "right")] += 1;
        let winner = winner.json();
        assert_eq!((&winner["state"], &winner["release"]), (&json!("active"), &json!(pair + 1)));
        assert_told(loser, generation);
        generation += 2;
        assert_eq!(winner["generation"], generation);
        cluster.all_answer("/race/", &format!("pair {pair} {side}")).await;
    }
    println!("the first node won {} times, the second {} times", wins[0], wins[1]);
    // Each rollout raises the generation when it begins and when it ends: no update was lost, none came twice.
    for node in &cluster.nodes {
        let app = node.api().app("race").await;
        assert_eq!((&app["generation"], &app["active"]), (&json!(2 * PAIRS), &json!(PAIRS)));
    }
    super::stop_all(loads).await;
}

/// The loser learns which generation it had seen, and at which one the app is now.
#[track_caller]
fn assert_told(loser: Answer, expected: u64) {
    let code = loser.json()["code"].as_str().unwrap_or_default().to_owned();
    assert!(["generation-conflict", "rollout-in-progress"].contains(&code.as_str()), "{loser:?}");
    let problem = loser.expect_problem(409, &code);
    assert_eq!(problem["expected_generation"], expected, "{problem}");
    let found = problem["found_generation"].as_u64().unwrap();
    assert!([expected + 1, expected + 2].contains(&found), "{problem}");
}
