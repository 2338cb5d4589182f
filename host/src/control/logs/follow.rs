//! An answer that goes on: the newest entries of all nodes in order, then whatever comes from any of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use typecase_model::{AppName, Node, NodeId};

use super::merge::Merged;
use super::notice::Notice;
use super::question::{LogQuestion, Since};
use super::{BACKLOG_BYTES_MAX, LINES_AHEAD, PEERS_TIMEOUT, Sources};
use crate::control::{Control, ControlError};
use crate::logs::{FOLLOWERS_MAX, Follower, Heard, Newest, Record};
use crate::peers::{PeerError, Peers};

/// How often somebody looks whether nodes came, or came back.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// Whoever reads nothing for so long is taken for gone.
const UNREAD_MAX: Duration = Duration::from_secs(30);

/// What a node may tell again after it was away; its newest entries, if there are more.
const CATCH_UP_MAX: usize = 1_000;

/// What the tasks of other nodes say.
enum Event {
    /// All that was there when the node was asked.
    Backlog(Vec<Arc<Record>>),
    Line(Bytes),
}

/// A stream of one other node that ended.
struct Ended {
    node: Node,
    error: PeerError,
    /// Where to go on.
    last_us: Option<i64>,
}

/// What is known of another node.
#[derive(Default)]
struct PeerState {
    name: String,
    asked: bool,
    missing: bool,
    last_us: Option<i64>,
}

struct Following {
    control: Control,
    app: AppName,
    question: LogQuestion,
    answer: mpsc::Sender<Bytes>,
    events: mpsc::Sender<(NodeId, Event)>,
    streams: JoinSet<Ended>,
    peers: HashMap<NodeId, PeerState>,
}

impl Control {
    pub(super) async fn follow_logs(
        &self,
        app: &AppName,
        question: LogQuestion,
        sources: Sources,
    ) -> Result<mpsc::Receiver<Bytes>, ControlError> {
        // Taken in any case: whoever follows only other nodes costs as much.
        let busy = ControlError::FollowersBusy { count: FOLLOWERS_MAX };
        let (newest, follower) =
            self.inner.logs.follow(app, &question.filter(), question.tail).await.ok_or(busy)?;
        let (answer, lines) = mpsc::channel(LINES_AHEAD);
        let (events, heard) = mpsc::channel(LINES_AHEAD);
        let following = Following {
            control: self.clone(),
            app: app.clone(),
            question,
            answer: answer.clone(),
            events,
            streams: JoinSet::new(),
            peers: HashMap::new(),
        };
        tokio::spawn(async move {
            tokio::select! {
                // Nobody reads any more.
                () = answer.closed() => {}
                ended = following.run(sources, newest, follower, heard) => {
                    if let Err(Unread) = ended {
                        tracing::debug!("whoever followed a log stopped reading");
                    }
                }
            }
        });
        Ok(lines)
    }
}

/// The reader is gone, or as good as gone.
struct Unread;

impl Following {
    async fn run(
        mut self,
        sources: Sources,
        newest: Newest,
        mut follower: Follower,
        mut heard: mpsc::Receiver<(NodeId, Event)>,
    ) -> Result<(), Unread> {
        let mut notices = sources.notices;
        let mut merged = Merged::new(self.question.tail);
        if sources.here {
            let node = &self.control.inner.node_name;
            notices.extend(newest.problem.map(|problem| Notice::incomplete(node, &problem)));
            merged.add(newest.records);
        }
        for node in sources.others {
            self.ask(node);
        }

        // The past of all nodes, as far as they tell it in time.
        let mut early = Vec::new();
        let mut expected: HashSet<NodeId> = self.peers.keys().cloned().collect();
        let deadline = Instant::now() + PEERS_TIMEOUT;
        while !expected.is_empty() {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => break,
                Some((node, event)) = heard.recv() => match event {
                    Event::Backlog(records) => {
                        merged.add(records);
                        expected.remove(&node);
                    }
                    Event::Line(line) => early.push(line),
                },
                Some(Ok(ended)) = self.streams.join_next() => {
                    expected.remove(&ended.node.id);
                    notices.extend(self.end(ended));
                }
            }
        }
        for node in expected {
            let state = self.peers.entry(node).or_default();
            state.missing = true;
            notices.push(Notice::missing(&state.name, "is slow to answer"));
        }
        let records = merged.into_newest();
        notices.extend(super::lost_meanwhile(&sources.lost, &records));
        for record in records {
            self.send(record.line.clone()).await?;
        }
        for notice in notices.into_iter().chain([Notice::live()]) {
            self.send(notice.line()).await?;
        }
        for line in early {
            self.send(line).await?;
        }

        // And what comes.
        let mut look = tokio::time::interval(LOOK_AGAIN);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                own = follower.next(), if sources.here => match own {
                    Some(Heard::Record(record)) => self.send(record.line.clone()).await?,
                    Some(Heard::Missed(count)) => {
                        let notice = Notice::missed(&self.control.inner.node_name, count);
                        self.send(notice.line()).await?;
                    }
                    None => return Ok(()),
                },
                Some((node, event)) = heard.recv() => {
                    for line in self.come(&node, event) {
                        self.send(line).await?;
                    }
                }
                Some(Ok(ended)) = self.streams.join_next() => {
                    if let Some(notice) = self.end(ended) {
                        self.send(notice.line()).await?;
                    }
                }
                _ = look.tick(), if !self.question.this_node_only => self.look_for_nodes().await,
            }
        }
    }

    async fn send(&self, line: Bytes) -> Result<(), Unread> {
        match tokio::time::timeout(UNREAD_MAX, self.answer.send(line)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Unread),
        }
    }

    /// The lines of what a node told after the others: it came, or came back.
    fn come(&mut self, node: &NodeId, event: Event) -> Vec<Bytes> {
        match event {
            Event::Line(line) => vec![line],
            Event::Backlog(records) => {
                let state = self.peers.entry(node.clone()).or_default();
                let was_missing = std::mem::replace(&mut state.missing, false);
                let back = was_missing.then(|| Notice::back(&state.name).line());
                back.into_iter().chain(records.iter().map(|record| record.line.clone())).collect()
            }
        }
    }

    fn end(&mut self, ended: Ended) -> Option<Notice> {
        let state = self.peers.entry(ended.node.id.clone()).or_default();
        state.asked = false;
        state.last_us = ended.last_us.or(state.last_us);
        // Told once, until it is back.
        let known = std::mem::replace(&mut state.missing, true);
        (!known).then(|| Notice::missing(&ended.node.name, &ended.error.to_string()))
    }

    async fn look_for_nodes(&mut self) {
        let Some(nodes) = self.control.other_live_nodes(self.question.node.as_deref()).await else { return };
        for node in nodes {
            if !self.peers.get(&node.id).is_some_and(|state| state.asked) {
                self.ask(node);
            }
        }
    }

    fn ask(&mut self, node: Node) {
        let state = self.peers.entry(node.id.clone()).or_default();
        (state.asked, state.name) = (true, node.name.clone());
        let mut question = self.question.clone();
        if let Some(last_us) = state.last_us {
            (question.since, question.tail) = (Some(Since::AtUs(last_us + 1)), CATCH_UP_MAX);
        }
        let path = question.path_for_a_peer(&self.app);
        let (peers, events) = (self.control.inner.peers.clone(), self.events.clone());
        let mut last_us = state.last_us;
        self.streams.spawn(async move {
            let ended = listen(&peers, &node, &path, &events, &mut last_us).await;
            Ended { error: ended.err().unwrap_or(PeerError::BrokenOff), node, last_us }
        });
    }
}

/// Hands on what one node tells, until it stops.
async fn listen(
    peers: &Peers,
    node: &Node,
    path: &str,
    events: &mpsc::Sender<(NodeId, Event)>,
    last_us: &mut Option<i64>,
) -> Result<(), PeerError> {
    let mut lines = peers.ask(node, path).await?;
    let mut backlog = Some(Vec::new());
    let mut left_bytes = BACKLOG_BYTES_MAX;
    while let Some(line) = lines.next().await? {
        let record = Record::parse(&line).map(Arc::new);
        if let Some(record) = &record {
            *last_us = Some(record.time_us);
        }
        let event = match (&mut backlog, record) {
            (Some(records), Some(record)) => {
                left_bytes = left_bytes.checked_sub(record.line.len()).ok_or(PeerError::BrokenOff)?;
                records.push(record);
                continue;
            }
            (Some(records), None) if Notice::is_live(&line) => {
                let records = std::mem::take(records);
                backlog = None;
                Event::Backlog(records)
            }
            (None, Some(record)) => Event::Line(record.line.clone()),
            (_, None) => Event::Line(Notice::of_another_node(line).line()),
        };
        if events.send((node.id.clone(), event)).await.is_err() {
            break;
        }
    }
    Ok(())
}
