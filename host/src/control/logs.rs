//! The logs of an app, of all nodes together: the newest entries in the order of their times, then each as it comes.
//!
//! A node that does not answer is named in the answer and holds nobody up. Without a database, a node still tells what
//! it has itself.

mod follow;
mod merge;
mod notice;
mod question;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use typecase_model::{AppName, Node, NodeHealth};
use typecase_store::{LOST_AFTER_MS, StoreError};

use super::{Control, ControlError};
use crate::logs::{ANSWER_BYTES_MAX, Newest, Record};
use crate::peers::{PeerError, Peers};
use merge::Merged;
use notice::Notice;

pub use question::{LogQuestion, Since};

/// How long an answer waits for the other nodes.
const PEERS_TIMEOUT: Duration = Duration::from_secs(4);

/// What another node tells at once, with room for one whose idea of the largest answer is another.
const BACKLOG_BYTES_MAX: usize = 2 * ANSWER_BYTES_MAX;

/// An answer that is on its way holds so many lines.
const LINES_AHEAD: usize = 256;

/// How much later than its last heartbeat a node may still have written something.
const GONE_SLACK_MS: i64 = 3 * LOST_AFTER_MS;

/// Lines of JSON, each with its end.
pub enum LogAnswer {
    Whole(Bytes),
    Stream(mpsc::Receiver<Bytes>),
}

/// Where to ask.
struct Sources {
    here: bool,
    others: Vec<Node>,
    /// Nodes that are not asked because they are gone.
    lost: Vec<Node>,
    notices: Vec<Notice>,
}

impl Control {
    /// What an app wrote, and what became of its calls.
    pub async fn logs(&self, app: &AppName, question: LogQuestion) -> Result<LogAnswer, ControlError> {
        let sources = self.log_sources(app, &question).await?;
        if question.follow {
            return self.follow_logs(app, question, sources).await.map(LogAnswer::Stream);
        }
        let mut asked = JoinSet::new();
        for node in &sources.others {
            let (peers, node) = (self.inner.peers.clone(), node.clone());
            let path = question.path_for_a_peer(app);
            asked.spawn(async move {
                let answer = tokio::time::timeout(PEERS_TIMEOUT, whole_answer(&peers, &node, &path)).await;
                (node, answer.unwrap_or(Err(PeerError::BrokenOff)))
            });
        }
        let mut merged = Merged::new(question.tail);
        let mut notices = sources.notices;
        if sources.here {
            let Newest { records, problem } =
                self.inner.logs.newest(app, &question.filter(), question.tail).await;
            notices.extend(problem.map(|problem| Notice::incomplete(&self.inner.node_name, &problem)));
            merged.add(records);
        }
        while let Some(joined) = asked.join_next().await {
            match joined {
                Ok((_, Ok(answer))) => {
                    merged.add(answer.records);
                    notices.extend(answer.notices.into_iter().map(Notice::of_another_node));
                }
                Ok((node, Err(error))) => notices.push(Notice::missing(&node.name, &error.to_string())),
                Err(error) => tracing::warn!("asking a node for its logs failed: {error}"),
            }
        }
        let records = merged.into_newest();
        notices.extend(lost_meanwhile(&sources.lost, &records));
        let mut bytes = Vec::new();
        records.iter().for_each(|record| bytes.extend_from_slice(&record.line));
        notices.iter().for_each(|notice| bytes.extend_from_slice(&notice.line()));
        Ok(LogAnswer::Whole(bytes.into()))
    }

    /// Whether a request for a path and query comes from a node of this cluster and was meant for this one.
    pub fn is_asked_by_a_node(&self, path: &str, signature: &str) -> bool {
        self.inner.peers.is_signed(self.inner.node.as_str(), path, signature)
    }

    /// Which nodes have a part of the answer.
    async fn log_sources(&self, app: &AppName, question: &LogQuestion) -> Result<Sources, ControlError> {
        let mut sources = Sources { here: true, others: Vec::new(), lost: Vec::new(), notices: Vec::new() };
        if question.this_node_only {
            return Ok(sources);
        }
        let nodes = match self.app(app).await {
            Ok(_) => self.nodes().await,
            Err(error) => Err(error),
        };
        let nodes = match nodes {
            Ok(nodes) => nodes,
            Err(ControlError::Store(StoreError::Unavailable { .. })) => {
                sources.notices.push(Notice::nodes_unknown());
                return Ok(sources);
            }
            Err(error) => return Err(error),
        };
        let mut wanted = nodes;
        if let Some(name) = &question.node {
            wanted.retain(|node| node.id.as_str() == name || node.name == *name);
            if wanted.is_empty() {
                return Err(StoreError::NotFound(format!("a node named `{name}`")).into());
            }
        }
        // The node's own row may be missing while it is new.
        sources.here = question.node.is_none() || wanted.iter().any(|node| node.id == self.inner.node);
        wanted.retain(|node| node.id != self.inner.node);
        (sources.others, sources.lost) = wanted.into_iter().partition(|node| node.health == NodeHealth::Live);
        if let (Some(_), [node]) = (&question.node, &sources.lost[..]) {
            // It was asked for by name: say at once that it is gone.
            sources.notices.push(Notice::lost(node));
            sources.lost.clear();
        }
        Ok(sources)
    }

    /// The nodes that live now, this one left out; none when the database does not answer.
    async fn other_live_nodes(&self, wanted: Option<&str>) -> Option<Vec<Node>> {
        let mut nodes = self.nodes().await.ok()?;
        nodes.retain(|node| {
            node.health == NodeHealth::Live
                && node.id != self.inner.node
                && wanted.is_none_or(|wanted| node.id.as_str() == wanted || node.name == wanted)
        });
        Some(nodes)
    }
}

/// What another node told at once.
#[derive(Default)]
struct PeerAnswer {
    records: Vec<Arc<Record>>,
    /// Its own notices, as it wrote them.
    notices: Vec<Bytes>,
}

async fn whole_answer(peers: &Peers, node: &Node, path: &str) -> Result<PeerAnswer, PeerError> {
    let mut lines = peers.ask(node, path).await?;
    let mut answer = PeerAnswer::default();
    let mut left_bytes = BACKLOG_BYTES_MAX;
    while let Some(line) = lines.next().await? {
        left_bytes = left_bytes.checked_sub(line.len()).ok_or(PeerError::BrokenOff)?;
        match Record::parse(&line) {
            Some(record) => answer.records.push(record.into()),
            None => answer.notices.push(line),
        }
    }
    Ok(answer)
}

/// Nodes that are gone now but lived during the time that an answer covers, as far as clocks and heartbeats tell: one
/// that signed off has a heartbeat of the past.
fn lost_meanwhile(lost: &[Node], records: &[Arc<Record>]) -> Vec<Notice> {
    let oldest_ms = records.first().map_or(i64::MIN, |oldest| oldest.time_us / 1_000);
    lost.iter().filter(|node| node.heartbeat_unix_ms + GONE_SLACK_MS > oldest_ms).map(Notice::lost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_was_gone_before_is_not_missed() {
        let node: Node = serde_json::from_value(serde_json::json!({
            "id": "b", "name": "b", "admin": "", "version": "", "started_unix_ms": 0,
            "heartbeat_unix_ms": 1_000_000, "health": "lost",
        }))
        .unwrap();
        let lost = [node];
        let at = |time_ms: i64| vec![Arc::new(Record::for_test(time_ms * 1_000, "an entry"))];
        assert_eq!(lost_meanwhile(&lost, &at(900_000)).len(), 1);
        // Signing off sets the heartbeat back.
        assert_eq!(lost_meanwhile(&lost, &at(1_000_000 + LOST_AFTER_MS)).len(), 1);
        assert_eq!(lost_meanwhile(&lost, &at(2_000_000)).len(), 0);
        assert_eq!(lost_meanwhile(&lost, &[]).len(), 1);
    }
}
