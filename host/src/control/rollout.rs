//! From candidate to active or failed: the decision every node takes from the same facts, and waiting for it.

use std::time::Duration;

use tokio::time::Instant;
use typecase_model::{
    AppName, Node, NodeHealth, Receipt, ReceiptState, Release, ReleaseNumber, ReleaseState, Topic,
};
use typecase_store::Rollout;

use super::{Control, ControlError};

/// How often a waiting publisher looks, should every announcement be lost.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How long a publisher is kept waiting, after the activation, for nodes to report that they serve it.
const SERVING_TIMEOUT: Duration = Duration::from_secs(5);

/// What came of a rollout.
#[derive(Debug)]
pub enum Outcome {
    /// It serves, or did so before another release took over; on all live nodes but these, by name.
    Active(Release, Vec<Receipt>, Vec<String>),
    /// It is ready everywhere, and waits to be activated.
    Prepared(Release, Vec<Receipt>),
    Failed(Release, Vec<Receipt>),
    /// The deadline passed; the rollout goes on.
    StillPreparing(Release, Vec<Receipt>),
}

/// What is to be done about a rollout now.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Wait,
    Activate,
    FinishPrepared,
    Abort(String),
}

impl Control {
    /// Looks at an app's rollout and ends it if it can be ended. Any node may call it at any time; it changes
    /// something at most once, by compare-and-set. True when it did.
    pub async fn settle(&self, app: &AppName) -> Result<bool, ControlError> {
        let store = &self.inner.store;
        let Some(rollout) = store.rollout(app).await? else { return Ok(false) };
        let (number, generation) = (rollout.candidate.number, rollout.app.generation);
        let (timeout, share_percent) = {
            let settings = self.inner.settings.load();
            (settings.effective.rollout_timeout, settings.effective.rollout_share_percent)
        };
        let decision = decide(&rollout, timeout, share_percent);
        let changed = match &decision {
            Decision::Wait => false,
            Decision::Activate => store.activate(app, number, generation).await?,
            Decision::FinishPrepared => store.finish_prepared(app, number, generation).await?,
            Decision::Abort(failure) => store.abort(app, number, generation, failure).await?,
        };
        if changed {
            match decision {
                Decision::Abort(failure) => tracing::warn!(
                    app.name = %app, release.number = %number, "rollout aborted: {failure}"
                ),
                Decision::FinishPrepared => {
                    tracing::info!(app.name = %app, release.number = %number, "release prepared");
                }
                _ => tracing::info!(app.name = %app, release.number = %number, "release activated"),
            }
            self.inner.announcements.announce(Topic::App(app.clone()));
        }
        Ok(changed)
    }

    /// Waits until the rollout of a release has ended.
    pub async fn wait(
        &self,
        app: &AppName,
        number: ReleaseNumber,
        timeout: Duration,
    ) -> Result<Outcome, ControlError> {
        let deadline = Instant::now() + timeout;
        let mut serving_deadline = None;
        // Subscribed before the first look, or a change between the two would be missed.
        let mut announcements = self.inner.announcements.subscribe();
        loop {
            let now = Instant::now();
            match self.outcome(app, number, deadline, &mut serving_deadline).await {
                Ok(Some(outcome)) => return Ok(outcome),
                Ok(None) => {}
                // The rollout goes on without us; a database that is back soon can still tell how it ended.
                Err(ControlError::Store(error)) if error.may_be_retried() && now < deadline => {
                    tracing::debug!(app.name = %app, "looking at the rollout again soon: {error}");
                }
                Err(error) => return Err(error),
            }
            let pause = tokio::time::sleep_until((now + POLL_INTERVAL).min(deadline));
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    topic = announcements.next() => match topic {
                        Topic::App(other) if other != *app => {}
                        Topic::App(_) | Topic::All => break,
                        Topic::Settings | Topic::Nodes | Topic::Bundles => {}
                    },
                }
            }
        }
    }

    /// How the rollout ended; none while there is something to wait for.
    async fn outcome(
        &self,
        app: &AppName,
        number: ReleaseNumber,
        deadline: Instant,
        serving_deadline: &mut Option<Instant>,
    ) -> Result<Option<Outcome>, ControlError> {
        let release = self.inner.store.release(app, number).await?;
        let receipts = self.inner.store.receipts(app, number).await?;
        let now = Instant::now();
        Ok(match release.state {
            ReleaseState::Prepared => Some(Outcome::Prepared(release, receipts)),
            ReleaseState::Failed => Some(Outcome::Failed(release, receipts)),
            // It served before: the failed attempt left it as it was, with a note.
            ReleaseState::Retired if release.failure.is_some() => Some(Outcome::Failed(release, receipts)),
            ReleaseState::Retired => Some(Outcome::Active(release, receipts, Vec::new())),
            ReleaseState::Active => {
                let until = *serving_deadline.get_or_insert(now + SERVING_TIMEOUT);
                let behind = self.nodes_behind(&receipts).await?;
                // Nobody waits for a node that failed, where the others went on without it.
                let waits = behind.iter().any(|(_, may_follow)| *may_follow);
                let done = !waits || now >= until.min(deadline);
                let behind = behind.into_iter().map(|(name, _)| name).collect();
                done.then_some(Outcome::Active(release, receipts, behind))
            }
            ReleaseState::Preparing if now >= deadline => Some(Outcome::StillPreparing(release, receipts)),
            ReleaseState::Preparing => None,
        })
    }

    /// Live nodes that do not serve the release yet, by name, and whether they are about to.
    async fn nodes_behind(&self, receipts: &[Receipt]) -> Result<Vec<(String, bool)>, ControlError> {
        let live = self.inner.store.live_nodes().await?;
        let state = |node: &Node| receipt_of(receipts, node).map(|receipt| receipt.state);
        Ok(live
            .into_iter()
            .filter(|node| state(node) != Some(ReceiptState::Active))
            .map(|node| {
                let may_follow = state(&node) != Some(ReceiptState::Failed);
                (node.name, may_follow)
            })
            .collect())
    }
}

/// The rule of every rollout: it ends when every live node has spoken or had its time. Activated when the share
/// of them that the operator asks for is prepared, aborted as soon as that cannot be reached any more. A node
/// that is not prepared then goes on trying, and serves its old release meanwhile.
fn decide(rollout: &Rollout, timeout: Duration, share_percent: u32) -> Decision {
    let live: Vec<&Node> = rollout.nodes.iter().filter(|node| node.health == NodeHealth::Live).collect();
    // Without a live node there is nobody to speak of; the reader's own heartbeat will be back.
    if live.is_empty() {
        return Decision::Wait;
    }
    let timeout_ms = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
    // A node that (re)started during the rollout has its full time: it resumes what a crash cut off.
    let is_overdue = |node: &Node| {
        let since = rollout.candidate_since_unix_ms.max(node.started_unix_ms);
        rollout.now_unix_ms.saturating_sub(since) > timeout_ms
    };
    let (mut failed, mut overdue, mut is_awaited) = (Vec::new(), Vec::new(), false);
    for node in &live {
        match receipt_of(&rollout.receipts, node) {
            Some(receipt) if receipt.state == ReceiptState::Failed => {
                let detail = receipt.detail.as_deref().unwrap_or("it gave no reason");
                failed.push(format!("node {}: {detail}", node.name));
            }
            Some(_) => {}
            None if is_overdue(node) => overdue.push(node.name.as_str()),
            None => is_awaited = true,
        }
    }
    let needed = (live.len() * share_percent as usize).div_ceil(100).max(1);
    let reachable = live.len() - failed.len() - overdue.len();
    if reachable < needed {
        return Decision::Abort(report(failed, &overdue, timeout, (reachable, needed, live.len())));
    }
    match (is_awaited, rollout.candidate.activate) {
        (true, _) => Decision::Wait,
        (false, true) => Decision::Activate,
        (false, false) => Decision::FinishPrepared,
    }
}

/// Why a rollout is aborted, a line for each reason.
fn report(
    failed: Vec<String>,
    overdue: &[&str],
    timeout: Duration,
    (reachable, needed, live): (usize, usize, usize),
) -> String {
    let mut lines = failed;
    if !overdue.is_empty() {
        lines.push(format!(
            "not prepared within {} s: node {}. Look at its log, or raise limits.rollout_timeout_ms",
            timeout.as_secs(),
            overdue.join(", node ")
        ));
    }
    if needed < live {
        lines.push(format!(
            "at most {reachable} of {live} live nodes can be ready, rollout.share_percent asks for {needed}"
        ));
    }
    lines.join("\n")
}

fn receipt_of<'a>(receipts: &'a [Receipt], node: &Node) -> Option<&'a Receipt> {
    receipts.iter().find(|receipt| receipt.node == node.id)
}

#[cfg(test)]
mod tests {
    use typecase_model::{App, Digest, Generation, Manifest};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(120);
    const STARTED: i64 = 1_000_000;

    /// A rollout that began at `STARTED`: one node a letter, in capitals when lost; its receipts.
    fn rollout(nodes: &str, receipts: &[(&str, ReceiptState)], after_ms: i64) -> Rollout {
        let app: AppName = "hello".parse().unwrap();
        let number = ReleaseNumber(2);
        Rollout {
            app: App {
                name: app.clone(),
                generation: Generation(3),
                active: Some(ReleaseNumber(1)),
                candidate: Some(number),
                config_generation: Generation(0),
                created_unix_ms: 0,
                updated_unix_ms: STARTED,
            },
            candidate: Release {
                app: app.clone(),
                number,
                digest: Digest::of(b"x"),
                manifest: Manifest::for_component(app.clone()),
                note: String::new(),
                publisher: "admin".to_owned(),
                created_unix_ms: STARTED,
                state: ReleaseState::Preparing,
                failure: None,
                activate: true,
                activated_unix_ms: None,
            },
            candidate_since_unix_ms: STARTED,
            nodes: nodes
                .chars()
                .map(|letter| Node {
                    id: letter.to_string().parse().unwrap(),
                    name: letter.to_string(),
                    admin: String::new(),
                    apps: String::new(),
                    version: String::new(),
                    started_unix_ms: 0,
                    heartbeat_unix_ms: 0,
                    health: match letter.is_uppercase() {
                        true => NodeHealth::Lost,
                        false => NodeHealth::Live,
                    },
                    draining: false,
                    problems: String::new(),
                })
                .collect(),
            receipts: receipts
                .iter()
                .map(|(node, state)| Receipt {
                    name: node.to_string(),
                    app: app.clone(),
                    release: number,
                    node: node.parse().unwrap(),
                    state: *state,
                    detail: Some("no memory".to_owned()),
                    duration_ms: 1,
                    at_unix_ms: 0,
                })
                .collect(),
            now_unix_ms: STARTED + after_ms,
        }
    }

    #[test]
    fn decisions() {
        use Decision::{Abort, Activate, Wait};
        use ReceiptState::{Failed, Prepared};
        let late = 120_001;
        for (nodes, receipts, after_ms, expected) in [
            ("a", &[][..], 0, Wait),
            ("a", &[("a", Prepared)], 0, Activate),
            ("ab", &[("a", Prepared)], 0, Wait),
            ("ab", &[("a", Prepared), ("b", Prepared)], late, Activate),
            // A lost node is not waited for, and what it said does not count.
            ("aB", &[("a", Prepared)], 0, Activate),
            ("aB", &[("a", Prepared), ("B", Failed)], 0, Activate),
            ("ab", &[("b", Failed)], 0, Abort("node b: no memory".to_owned())),
            (
                "abc",
                &[("a", Prepared)],
                late,
                Abort(
                    "not prepared within 120 s: node b, node c. Look at its log, or raise limits.rollout_timeout_ms"
                        .to_owned(),
                ),
            ),
            // Nobody alive is no majority.
            ("A", &[("A", Prepared)], late, Wait),
            ("", &[], late, Wait),
        ] {
            assert_eq!(decide(&rollout(nodes, receipts, after_ms), TIMEOUT, 100), expected, "{nodes}");
        }
    }

    #[test]
    fn a_share_of_the_nodes_is_enough_where_the_operator_says_so() {
        use Decision::{Abort, Activate, Wait};
        use ReceiptState::{Failed, Prepared};
        let late = 120_001;
        let ready = [("a", Prepared), ("b", Prepared)];
        let two = [("a", Prepared), ("b", Prepared), ("c", Failed)];
        for (nodes, receipts, share, after_ms, expected) in [
            ("abc", &two[..], 60, 0, Activate),
            ("abc", &two, 66, 0, Activate),
            // 67 % of three nodes are more than two of them.
            (
                "abc",
                &two,
                67,
                0,
                Abort(
                    "node c: no memory".to_owned(),
                ),
            ),
            // Whoever is not ready yet has its time, so that all change together when nothing is wrong.
            ("abc", &ready, 50, 0, Wait),
            ("abc", &ready, 50, late, Activate),
            ("abcd", &two, 50, 0, Wait),
            ("abcd", &two, 50, late, Activate),
            (
                "abcd",
                &two,
                75,
                late,
                Abort(
                    "node c: no memory\nnot prepared within 120 s: node d. Look at its log, or raise limits.rollout_timeout_ms\nat most 2 of 4 live nodes can be ready, rollout.share_percent asks for 3"
                        .to_owned(),
                ),
            ),
            // However small the share, nobody ready is not enough.
            ("a", &[("a", Failed)], 1, 0, Abort("node a: no memory".to_owned())),
        ] {
            assert_eq!(decide(&rollout(nodes, receipts, after_ms), TIMEOUT, share), expected, "{nodes} {share}");
        }
    }

    #[test]
    fn a_restarted_node_has_its_full_time() {
        let mut resumed = rollout("a", &[], 500_000);
        resumed.nodes[0].started_unix_ms = STARTED + 499_000;
        assert_eq!(decide(&resumed, TIMEOUT, 100), Decision::Wait);
    }

    #[test]
    fn without_activation_it_waits_prepared() {
        let mut waiting = rollout("a", &[("a", ReceiptState::Prepared)], 0);
        waiting.candidate.activate = false;
        assert_eq!(decide(&waiting, TIMEOUT, 100), Decision::FinishPrepared);
    }
}
