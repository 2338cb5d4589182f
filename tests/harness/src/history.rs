//! What clients saw, request by request, and what must be true of it whatever broke meanwhile.
//!
//! The judgements use only what clients can know: when they asked, when they were answered, and with what.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::TestNode;

/// Nodes write their access logs once a second; what is missing after this long was lost with a killed node.
const LOGS_QUIET: Duration = Duration::from_secs(3);
const LOGS_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Failures that a failed test shows.
const SHOWN: usize = 5;

/// How a client uses its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    KeepAlive,
    Fresh,
    Stream,
    /// Like `KeepAlive`, with requests that nobody may repeat on the client's behalf.
    Post,
}

/// One request and what became of it.
#[derive(Debug, Clone)]
pub struct Record {
    pub request: u64,
    pub kind: Kind,
    /// Which connection of the whole load carried it.
    pub connection: u64,
    pub started: Instant,
    pub ended: Instant,
    pub status: u16,
    /// The release that the answer names; none for an error.
    pub release: Option<u32>,
    pub request_id: String,
    /// Which node answered, once [`History::find_nodes`] has found out.
    pub node: Option<usize>,
    /// The number of the release that answered, as that node's access log has it.
    pub logged_release: Option<u32>,
    pub error: Option<String>,
}

impl Record {
    pub fn is_failure(&self) -> bool {
        self.error.is_some() || self.status != 200
    }

    /// Whether its client was waiting at this moment.
    pub fn was_open_at(&self, moment: Instant) -> bool {
        self.started <= moment && moment <= self.ended
    }
}

/// What became of all requests.
#[derive(Debug)]
pub struct History {
    pub records: Vec<Record>,
}

impl History {
    pub fn count(&self, kind: Kind) -> usize {
        self.records.iter().filter(|record| record.kind == kind).count()
    }

    pub fn failures(&self) -> Vec<&Record> {
        self.records.iter().filter(|record| record.is_failure()).collect()
    }

    /// Every request was answered with 200, and enough were sent for that to mean something.
    #[track_caller]
    pub fn assert_no_failures(&self, count_min: usize) {
        self.assert_failures_only(count_min, "none", |_| false);
    }

    /// No request failed but those that a fault may take with it.
    #[track_caller]
    pub fn assert_failures_only(&self, count_min: usize, which: &str, may_fail: impl Fn(&Record) -> bool) {
        let mut failures = self.failures();
        failures.retain(|record| !may_fail(record));
        let shown = &failures[..failures.len().min(SHOWN)];
        let (failed, all) = (failures.len(), self.records.len());
        assert!(
            failures.is_empty(),
            "{failed} of {all} failed, other than those allowed ({which}): {shown:#?}"
        );
        assert!(all >= count_min, "only {all} requests were sent");
    }

    /// On no connection an older release answered after a newer one. Through a balancer a connection reaches many
    /// nodes: there, ask [`History::assert_never_backwards_on_a_node`].
    #[track_caller]
    pub fn assert_never_backwards(&self) {
        let mut newest: HashMap<u64, (u32, u64)> = HashMap::new();
        for record in &self.records {
            let Some(release) = record.release else { continue };
            let last = newest.entry(record.connection).or_insert((release, record.request));
            assert!(
                release >= last.0,
                "connection {}: request {} saw release {} after request {} had seen {}",
                record.connection,
                record.request,
                release,
                last.1,
                last.0
            );
            *last = (release, record.request);
        }
    }

    /// No request that began after another one had ended got an older release from the same node. Requests that
    /// overlap say nothing about order. Give it requests to one app only: see [`History::only`].
    #[track_caller]
    pub fn assert_never_backwards_on_a_node(&self) {
        let known: Vec<(usize, u32, &Record)> =
            self.records.iter().filter_map(|record| Some((record.node?, record.release?, record))).collect();
        assert!(!known.is_empty(), "no answer is known to be any node's");
        let mut by_start = known.clone();
        by_start.sort_by_key(|(_, _, record)| record.started);
        let mut by_end = known;
        by_end.sort_by_key(|(_, _, record)| record.ended);
        let mut ended = by_end.into_iter().peekable();
        let mut newest: HashMap<usize, (u32, &Record)> = HashMap::new();
        for (node, release, record) in by_start {
            while let Some((node, release, earlier)) = ended.next_if(|(_, _, it)| it.ended < record.started) {
                let last = newest.entry(node).or_insert((release, earlier));
                if release > last.0 {
                    *last = (release, earlier);
                }
            }
            if let Some((seen, earlier)) = newest.get(&node) {
                assert!(
                    release >= *seen,
                    "node {node}: release {release} answered after release {seen}: {record:#?} after {earlier:#?}"
                );
            }
        }
    }

    /// Whoever asked after this moment got this release or a newer one, on every node.
    #[track_caller]
    pub fn assert_serves_from(&self, moment: Instant, release: u32) {
        let later = self.records.iter().filter(|record| record.started > moment);
        let older: Vec<&Record> =
            later.filter(|record| record.release.is_some_and(|seen| seen < release)).collect();
        let shown = &older[..older.len().min(SHOWN)];
        assert!(older.is_empty(), "{} answers of releases before {release}: {shown:#?}", older.len());
    }

    /// The same history with some of its requests.
    pub fn only(&self, which: impl Fn(&Record) -> bool) -> Self {
        Self { records: self.records.iter().filter(|record| which(record)).cloned().collect() }
    }

    /// Says of requests that were sent to one node directly which node it was.
    pub fn of_node(mut self, node: usize) -> Self {
        self.records.iter_mut().for_each(|record| record.node = Some(node));
        self
    }

    /// Finds out which node answered each request, through the request ids in the nodes' access logs. Gives back how
    /// many answers remain unknown: those whose node was killed before it wrote its log.
    pub async fn find_nodes(&mut self, nodes: &[TestNode]) -> usize {
        let mut quiet_since = Instant::now();
        // Logs may go on growing: balancers look whether the nodes are well.
        let mut left = usize::MAX;
        loop {
            let mut answered_by: HashMap<String, (usize, Option<u32>)> = HashMap::new();
            for (number, node) in nodes.iter().enumerate() {
                let log = fs::read_to_string(node.data().join("log/access.log")).unwrap_or_default();
                let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                answered_by.extend(lines.filter_map(|line| {
                    let release = line["release.number"].as_u64().and_then(|release| release.try_into().ok());
                    Some((line["request.id"].as_str()?.to_owned(), (number, release)))
                }));
            }
            let mut unknown = 0;
            for record in self.records.iter_mut().filter(|record| !record.request_id.is_empty()) {
                let found = answered_by.get(&record.request_id);
                (record.node, record.logged_release) =
                    found.copied().map_or((None, None), |(n, r)| (Some(n), r));
                unknown += usize::from(record.node.is_none());
            }
            if unknown < left {
                (left, quiet_since) = (unknown, Instant::now());
            }
            if unknown == 0 || quiet_since.elapsed() > LOGS_QUIET {
                return unknown;
            }
            tokio::time::sleep(LOGS_POLL_INTERVAL).await;
        }
    }

    /// Nodes that have answered, of those that are known.
    pub fn nodes_seen(&self) -> HashSet<usize> {
        self.records.iter().filter_map(|record| record.node).collect()
    }

    /// How many different releases answered.
    pub fn releases_seen(&self, kind: Kind) -> usize {
        let of_kind = self.records.iter().filter(|record| record.kind == kind);
        let releases: HashSet<u32> = of_kind.filter_map(|record| record.release).collect();
        releases.len()
    }

    /// The longest that any client waited.
    pub fn longest(&self) -> Duration {
        let waits = self.records.iter().map(|record| record.ended.duration_since(record.started));
        waits.max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(request: usize, connection: u64, release: u32) -> Record {
        let now = Instant::now();
        Record {
            request: request as u64,
            kind: Kind::KeepAlive,
            connection,
            started: now,
            ended: now,
            status: 200,
            release: Some(release),
            request_id: String::new(),
            node: None,
            logged_release: None,
            error: None,
        }
    }

    /// One record a pair: connection and release.
    fn history(seen: &[(u64, u32)]) -> History {
        let record =
            |(request, (connection, release)): (usize, &(u64, u32))| record(request, *connection, *release);
        History { records: seen.iter().enumerate().map(record).collect() }
    }

    /// One record each: node, start, end and release.
    fn on_nodes(seen: &[(usize, u64, u64, u32)]) -> History {
        let zero = Instant::now();
        let records = seen.iter().enumerate().map(|(request, (node, started, ended, release))| Record {
            started: zero + Duration::from_secs(*started),
            ended: zero + Duration::from_secs(*ended),
            node: Some(*node),
            ..record(request, 0, *release)
        });
        History { records: records.collect() }
    }

    fn is_refused(judge: impl FnOnce() + std::panic::UnwindSafe) -> bool {
        std::panic::catch_unwind(judge).is_err()
    }

    #[test]
    fn an_older_release_after_a_newer_one_is_noticed_for_each_connection() {
        history(&[(1, 1), (2, 2), (1, 1), (1, 2), (2, 2)]).assert_never_backwards();
        let backwards = history(&[(1, 1), (1, 2), (2, 1), (1, 1)]);
        assert!(is_refused(|| backwards.assert_never_backwards()));
    }

    #[test]
    fn an_older_release_after_a_newer_one_is_noticed_for_each_node() {
        // Another node may be behind, and so may whoever asked before the newer answer had come.
        on_nodes(&[(0, 0, 1, 1), (0, 2, 5, 2), (1, 6, 7, 1), (0, 4, 6, 1), (0, 7, 8, 2)])
            .assert_never_backwards_on_a_node();
        let backwards = on_nodes(&[(0, 0, 1, 1), (0, 2, 3, 2), (1, 2, 3, 1), (0, 4, 9, 1), (0, 10, 11, 2)]);
        assert!(is_refused(|| backwards.assert_never_backwards_on_a_node()));
        assert!(
            is_refused(|| history(&[(1, 1)]).assert_never_backwards_on_a_node()),
            "nothing was looked at"
        );
    }

    #[test]
    fn an_old_release_after_a_moment_is_noticed() {
        let history = on_nodes(&[(0, 0, 1, 1), (1, 3, 4, 2)]);
        let moment = history.records[0].ended;
        history.assert_serves_from(moment, 2);
        assert!(is_refused(|| history.assert_serves_from(moment, 3)));
    }

    #[test]
    fn failures_and_too_few_requests_are_noticed() {
        let mut few = history(&[(1, 1), (1, 1)]);
        few.assert_no_failures(2);
        assert!(is_refused(|| few.assert_no_failures(3)));
        few.records[0].status = 503;
        assert!(is_refused(|| few.assert_no_failures(1)));
        few.assert_failures_only(2, "connection 1", |record| record.connection == 1);
        assert!(is_refused(|| few.assert_failures_only(2, "posts", |record| record.kind == Kind::Post)));
    }
}
