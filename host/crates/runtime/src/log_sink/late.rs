//! Entries that are announced and not written yet: whoever reads a log waits for those of what happened before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// How long a reader waits for them at most.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Numbers of entries, in the order in which they were announced.
#[derive(Debug, Default)]
struct Numbers {
    next: u64,
    open: BTreeSet<u64>,
}

/// The side of those who announce.
#[derive(Debug, Clone, Default)]
pub(super) struct Announcer(Arc<watch::Sender<Numbers>>);

/// One announced entry; readers see it, or never will, when this goes.
#[derive(Debug)]
pub struct LateEntry {
    announcer: Announcer,
    number: u64,
}

/// The side of whoever reads.
#[derive(Debug, Clone)]
pub struct LateEntries(watch::Receiver<Numbers>);

impl Announcer {
    pub(super) fn announce(&self) -> LateEntry {
        let mut number = 0;
        self.0.send_modify(|numbers| {
            number = numbers.next;
            numbers.next += 1;
            numbers.open.insert(number);
        });
        LateEntry { announcer: self.clone(), number }
    }

    pub(super) fn entries(&self) -> LateEntries {
        LateEntries(self.0.subscribe())
    }
}

impl Drop for LateEntry {
    fn drop(&mut self) {
        self.announcer.0.send_modify(|numbers| {
            numbers.open.remove(&self.number);
        });
    }
}

impl LateEntries {
    /// Waits until what has been announced so far is written, for 2 seconds at most.
    pub async fn written(&self) {
        let mut numbers = self.0.clone();
        let next = numbers.borrow().next;
        let written = numbers.wait_for(|numbers| numbers.open.first().is_none_or(|first| *first >= next));
        let _ = tokio::time::timeout(WAIT_MAX, written).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_waits_for_what_was_announced_before() {
        let announcer = Announcer::default();
        let entries = announcer.entries();
        entries.written().await;
        let (first, second) = (announcer.announce(), announcer.announce());
        let reader = tokio::spawn(async move { entries.written().await });
        tokio::task::yield_now().await;
        let _later = announcer.announce();
        drop(second);
        tokio::task::yield_now().await;
        assert!(!reader.is_finished());
        drop(first);
        reader.await.unwrap();
    }
}
