//! The cluster's settings: look, change, roll back, and wait until every node has applied them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use tokio::time::Instant;
use typecase_model::settings::{
    Difference, SettingChanges, SettingsReceipt, SettingsRevision, SettingsState, differences,
};
use typecase_model::{Generation, Node, NodeHealth, NodeId, Principal, Settings, Topic};
use typecase_store::NewSettings;

use super::publish::NOTE_CHARS_MAX;
use super::{Control, ControlError};
use crate::settings::Snapshot;

/// How often whoever waits looks at the nodes' receipts, at first and later on. They are not announced, or each of
/// many nodes would look again for each of the others.
const POLL_MIN: Duration = Duration::from_millis(10);
const POLL_MAX: Duration = Duration::from_millis(160);

/// A change as someone asks for it.
#[derive(Debug)]
pub struct SettingsChange {
    /// The generation it was made from; without it, whatever holds now.
    pub expected: Option<Generation>,
    pub kind: ChangeKind,
    pub note: String,
}

#[derive(Debug)]
pub enum ChangeKind {
    Keys(SettingChanges),
    /// Back to the document of that generation, as a new one.
    RollBack(Generation),
}

/// What came of a change.
#[derive(Debug)]
pub struct Changed {
    pub revision: SettingsRevision,
    pub differences: Vec<Difference>,
}

/// A change of the past, with what it changed; none when the one before it is not kept any more.
#[derive(Debug)]
pub struct PastChange {
    pub revision: SettingsRevision,
    pub differences: Option<Vec<Difference>>,
}

/// Where a generation of the settings stands on the nodes.
#[derive(Debug)]
pub struct Progress {
    pub generation: Generation,
    /// True when every live node has applied all that was asked about.
    pub converged: bool,
    pub nodes: Vec<NodeProgress>,
}

#[derive(Debug)]
pub struct NodeProgress {
    pub node: NodeId,
    pub name: String,
    pub health: NodeHealth,
    /// None: it has not spoken about this generation yet.
    pub receipt: Option<SettingsReceipt>,
}

impl Control {
    /// The settings that hold.
    pub async fn settings(&self) -> Result<SettingsRevision, ControlError> {
        Ok(self.inner.store.settings().await?)
    }

    /// What holds on this node, which may be a moment behind.
    pub fn settings_here(&self) -> Arc<Snapshot> {
        Guard::into_inner(self.inner.settings.load())
    }

    /// Changes the settings, unless someone else did so since `expected`. A change that changes nothing makes no
    /// new generation.
    pub async fn change_settings(
        &self,
        change: SettingsChange,
        principal: &Principal,
    ) -> Result<Changed, ControlError> {
        let SettingsChange { expected, kind, note } = change;
        let count = note.chars().count();
        if count > NOTE_CHARS_MAX {
            return Err(ControlError::NoteTooLong { count, max: NOTE_CHARS_MAX });
        }
        let store = &self.inner.store;
        let before = store.settings().await?;
        let expected = expected.unwrap_or(before.generation);
        if expected != before.generation {
            let found = before.generation;
            return Err(typecase_store::StoreError::Outdated { what: "the settings", expected, found }.into());
        }
        let settings = match kind {
            ChangeKind::Keys(changes) => before.settings.changed(&changes)?,
            ChangeKind::RollBack(to) => store.settings_at(to).await?.settings,
        };
        let differences = differences(&before.settings, &settings);
        if differences.is_empty() {
            return Ok(Changed { revision: before, differences });
        }
        self.refuse_unfit(&before.settings, &settings)?;
        let new = NewSettings { expected, settings: &settings, changed_by: &principal.name, note: &note };
        let revision = store.change_settings(&new).await?;
        let keys: Vec<&str> = differences.iter().map(|difference| &*difference.key).collect();
        tracing::info!(
            settings.generation = %revision.generation, principal.name = %principal.name,
            settings.keys = keys.join(","), "settings changed"
        );
        self.inner.announcements.announce(Topic::Settings);
        Ok(Changed { revision, differences })
    }

    /// Refuses what the nodes would leave out. What was so before may stay: it is not this change's fault.
    fn refuse_unfit(&self, before: &Settings, after: &Settings) -> Result<(), ControlError> {
        let known = self.inner.settings.problems(before);
        let mut problems = self.inner.settings.problems(after);
        problems.retain(|problem| !known.contains(problem));
        if problems.is_empty() { Ok(()) } else { Err(ControlError::SettingsUnfit(problems)) }
    }

    /// The newest changes, newest first.
    pub async fn settings_history(&self, count: u32) -> Result<Vec<PastChange>, ControlError> {
        // One more, to tell what the oldest of them changed.
        let mut revisions = self.inner.store.settings_history(count.saturating_add(1)).await?;
        if revisions.last().is_some_and(|oldest| oldest.generation.0 == 1) {
            revisions.push(self.inner.store.settings_at(Generation(0)).await?);
        }
        let mut changes = Vec::new();
        for (index, revision) in revisions.iter().enumerate().take(count as usize) {
            if revision.generation.0 == 0 {
                break;
            }
            let before = revisions.get(index + 1);
            changes.push(PastChange {
                revision: revision.clone(),
                differences: before.map(|before| differences(&before.settings, &revision.settings)),
            });
        }
        Ok(changes)
    }

    /// What differs between two generations; without them, between the newest two.
    pub async fn settings_diff(
        &self,
        from: Option<Generation>,
        to: Option<Generation>,
    ) -> Result<(Generation, Generation, Vec<Difference>), ControlError> {
        let store = &self.inner.store;
        let to = match to {
            Some(to) => store.settings_at(to).await?,
            None => store.settings().await?,
        };
        let from = from.unwrap_or(Generation(to.generation.0.saturating_sub(1)));
        let from = store.settings_at(from).await?;
        Ok((from.generation, to.generation, differences(&from.settings, &to.settings)))
    }

    /// Where the settings that hold stand on each node.
    pub async fn settings_progress(&self) -> Result<Progress, ControlError> {
        let newest = self.inner.store.settings().await?;
        let keys = newest.settings.entries().map(|(key, _)| key.to_owned()).collect();
        self.progress_of(newest.generation, &keys).await
    }

    /// Waits until every live node has applied a generation or failed to, or until the time is over. What a node
    /// leaves out counts when it is among `keys`.
    pub async fn wait_for_settings(
        &self,
        generation: Generation,
        keys: &BTreeSet<String>,
        timeout: Duration,
    ) -> Result<Progress, ControlError> {
        let deadline = Instant::now() + timeout;
        let mut pause = POLL_MIN;
        loop {
            let now = Instant::now();
            match self.progress_of(generation, keys).await {
                Ok(progress) if progress.is_final() || now >= deadline => return Ok(progress),
                Ok(_) => {}
                // The change is made; a database that is back soon can still tell what became of it.
                Err(ControlError::Store(error)) if error.may_be_retried() => {
                    if now >= deadline {
                        return Ok(Progress { generation, converged: false, nodes: Vec::new() });
                    }
                    tracing::debug!("looking at what became of the settings again soon: {error}");
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep_until((now + pause).min(deadline)).await;
            pause = (pause * 2).min(POLL_MAX);
        }
    }

    async fn progress_of(
        &self,
        generation: Generation,
        keys: &BTreeSet<String>,
    ) -> Result<Progress, ControlError> {
        let nodes = self.inner.store.nodes().await?;
        let receipts = self.inner.store.settings_receipts().await?;
        Ok(progress(generation, keys, nodes, receipts))
    }
}

impl Progress {
    /// Nobody is left to wait for.
    fn is_final(&self) -> bool {
        self.nodes.iter().all(|node| node.health == NodeHealth::Lost || node.receipt.is_some())
    }
}

fn progress(
    generation: Generation,
    keys: &BTreeSet<String>,
    nodes: Vec<Node>,
    mut receipts: Vec<SettingsReceipt>,
) -> Progress {
    // What was said about an older generation says nothing about this one.
    receipts.retain(|receipt| receipt.generation >= generation);
    let of = |node: Node| {
        let found = receipts.iter().find(|receipt| receipt.node == node.id).cloned();
        NodeProgress { node: node.id, name: node.name, health: node.health, receipt: found }
    };
    let nodes: Vec<NodeProgress> = nodes.into_iter().map(of).collect();
    let has_applied = |receipt: &SettingsReceipt| {
        let honours_all = receipt.ignored.iter().all(|key| !keys.contains(key));
        receipt.state == SettingsState::Applied && honours_all
    };
    let live = nodes.iter().filter(|node| node.health == NodeHealth::Live);
    let converged =
        live.clone().count() > 0 && live.clone().all(|n| n.receipt.as_ref().is_some_and(has_applied));
    Progress { generation, converged, nodes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, health: NodeHealth) -> Node {
        serde_json::from_value(serde_json::json!({
            "id": name, "name": name, "admin": "", "apps": "", "version": "", "started_unix_ms": 0,
            "heartbeat_unix_ms": 0, "health": health,
        }))
        .unwrap()
    }

    fn receipt(node: &str, generation: u64, state: SettingsState, ignored: &[&str]) -> SettingsReceipt {
        SettingsReceipt {
            node: node.parse().unwrap(),
            generation: Generation(generation),
            state,
            detail: None,
            ignored: ignored.iter().map(|key| (*key).to_owned()).collect(),
            at_unix_ms: 0,
        }
    }

    #[test]
    fn all_live_nodes_must_have_applied_what_was_changed() {
        use NodeHealth::{Live, Lost};
        use SettingsState::{Applied, Failed};
        let keys = BTreeSet::from(["log.level".to_owned()]);
        let (a, b) = (node("a", Live), node("b", Live));
        let done = receipt("a", 3, Applied, &[]);
        for (nodes, receipts, converged, is_final) in [
            (vec![a.clone()], vec![done.clone()], true, true),
            (vec![a.clone()], vec![receipt("a", 4, Applied, &[])], true, true),
            (vec![a.clone()], vec![receipt("a", 2, Applied, &[])], false, false),
            (vec![a.clone()], vec![receipt("a", 3, Failed, &[])], false, true),
            (vec![a.clone()], vec![receipt("a", 3, Applied, &["drain.grace_ms"])], true, true),
            (vec![a.clone()], vec![receipt("a", 3, Applied, &["log.level"])], false, true),
            (vec![a.clone(), b.clone()], vec![done.clone()], false, false),
            (vec![a.clone(), node("b", Lost)], vec![done.clone()], true, true),
            (vec![node("a", Lost)], vec![done.clone()], false, true),
        ] {
            let shown = format!("{nodes:?} {receipts:?}");
            let progress = progress(Generation(3), &keys, nodes, receipts);
            assert_eq!((progress.converged, progress.is_final()), (converged, is_final), "{shown}");
        }
    }
}
