//! Puts the entries of several nodes into one order: that of their times, and for each node that in which they came.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::logs::{ANSWER_BYTES_MAX, Record};

pub struct Merged {
    tail: usize,
    nodes: Vec<Vec<Arc<Record>>>,
}

impl Merged {
    pub fn new(tail: usize) -> Self {
        Self { tail, nodes: Vec::new() }
    }

    /// Entries of one node, oldest first.
    pub fn add(&mut self, records: Vec<Arc<Record>>) {
        self.nodes.push(records);
    }

    /// The newest of all, oldest first.
    pub fn into_newest(mut self) -> Vec<Arc<Record>> {
        // From the end of each: the next newest of all is the last of one of them.
        let mut heads: BinaryHeap<(i64, Reverse<usize>)> = BinaryHeap::new();
        let mut taken = Vec::new();
        let mut left_bytes = ANSWER_BYTES_MAX;
        for (node, records) in self.nodes.iter().enumerate() {
            heads.extend(records.last().map(|last| (last.time_us, Reverse(node))));
        }
        while taken.len() < self.tail
            && let Some((_, Reverse(node))) = heads.pop()
            && let Some(record) = self.nodes[node].pop()
            && let Some(left) = left_bytes.checked_sub(record.line.len())
        {
            left_bytes = left;
            taken.push(record);
            heads.extend(self.nodes[node].last().map(|last| (last.time_us, Reverse(node))));
        }
        taken.reverse();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(tail: usize, nodes: &[&[i64]]) -> Vec<i64> {
        let mut merged = Merged::new(tail);
        for times in nodes {
            merged.add(times.iter().map(|time| Arc::new(Record::for_test(*time, "an entry"))).collect());
        }
        merged.into_newest().iter().map(|record| record.time_us).collect()
    }

    #[test]
    fn the_newest_of_all_nodes_in_order() {
        assert_eq!(merged(10, &[&[1, 4, 7], &[2, 5], &[], &[3, 6, 8]]), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(merged(3, &[&[1, 4, 7], &[2, 5], &[3, 6, 8]]), [6, 7, 8]);
        assert_eq!(merged(0, &[&[1]]), [0; 0]);
        // A node whose clock went back keeps its own order.
        assert_eq!(merged(10, &[&[5, 9, 2, 3], &[4]]), [5, 9, 2, 3, 4]);
    }

    #[test]
    fn an_answer_has_a_size() {
        let large: Vec<_> = (0..2_000).map(|n| Arc::new(Record::for_test(n, &"x".repeat(16_000)))).collect();
        let mut merged = Merged::new(usize::MAX);
        merged.add(large);
        let taken = merged.into_newest();
        assert!(taken.iter().map(|record| record.line.len()).sum::<usize>() <= ANSWER_BYTES_MAX);
        assert_eq!(taken.last().unwrap().time_us, 1_999);
    }
}
