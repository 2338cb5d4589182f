//! Who hears of each entry at once. Nobody is waited for: whoever is slow is told how many entries they missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use typecase_model::AppName;

use super::{Filter, Record};

/// People with a terminal, development servers, and other nodes on behalf of theirs.
pub const FOLLOWERS_MAX: usize = 200;

/// Entries that wait for one of them.
const WAITING_MAX: usize = 1_024;

#[derive(Default)]
pub struct Followers(Vec<Following>);

struct Following {
    app: AppName,
    filter: Filter,
    records: mpsc::Sender<Arc<Record>>,
    missed: Arc<AtomicU64>,
}

/// Whoever follows; dropping it ends that.
pub struct Follower {
    records: mpsc::Receiver<Arc<Record>>,
    missed: Arc<AtomicU64>,
    _place: OwnedSemaphorePermit,
}

/// What a follower hears.
#[derive(Debug)]
pub enum Heard {
    Record(Arc<Record>),
    /// So many entries were left out here.
    Missed(u64),
}

impl Followers {
    pub fn add(&mut self, app: AppName, filter: Filter, place: OwnedSemaphorePermit) -> Follower {
        let (sender, records) = mpsc::channel(WAITING_MAX);
        let missed = Arc::new(AtomicU64::new(0));
        self.0.push(Following { app, filter, records: sender, missed: missed.clone() });
        Follower { records, missed, _place: place }
    }

    pub fn tell(&mut self, app: &AppName, record: &Arc<Record>) {
        self.0.retain(|following| {
            if following.app != *app || !following.filter.matches(record) {
                return !following.records.is_closed();
            }
            match following.records.try_send(record.clone()) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    following.missed.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Err(mpsc::error::TrySendError::Closed(_)) => false,
            }
        });
    }
}

impl Follower {
    /// None when the node ends.
    pub async fn next(&mut self) -> Option<Heard> {
        // What was missed came after all that waits.
        if self.records.is_empty() {
            let missed = self.missed.swap(0, Ordering::Relaxed);
            if missed > 0 {
                return Some(Heard::Missed(missed));
            }
        }
        self.records.recv().await.map(Heard::Record)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_slow_follower_is_told_what_it_missed_and_holds_up_nobody() {
        let places = Arc::new(Semaphore::new(2));
        let place = || places.clone().try_acquire_owned().unwrap();
        let mut followers = Followers::default();
        let (shop, other) = ("shop".parse::<AppName>().unwrap(), "other".parse::<AppName>().unwrap());
        let mut slow = followers.add(shop.clone(), Filter::default(), place());
        let gone = followers.add(other.clone(), Filter::default(), place());
        drop(gone);
        for n in 0..WAITING_MAX as i64 + 10 {
            followers.tell(&shop, &Arc::new(Record::for_test(n, "an entry")));
        }
        assert_eq!(followers.0.len(), 1);
        for n in 0..WAITING_MAX as i64 {
            assert!(matches!(slow.next().await, Some(Heard::Record(record)) if record.time_us == n));
        }
        assert!(matches!(slow.next().await, Some(Heard::Missed(10))));
        followers.tell(&shop, &Arc::new(Record::for_test(7, "again")));
        assert!(matches!(slow.next().await, Some(Heard::Record(record)) if record.time_us == 7));
        drop(followers);
        assert!(slow.next().await.is_none());
    }
}
