//! The newest entries of each app, in memory: most questions are about them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use typecase_model::AppName;

use super::{ANSWER_BYTES_MAX, Filter, Record};

/// Of one app, and of all together; the files have the rest.
const APP_BYTES_MAX: usize = 512 * 1024;
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a record takes besides its line.
const RECORD_OVERHEAD_BYTES: usize = 160;

#[derive(Default)]
pub struct Recent {
    apps: HashMap<AppName, Kept>,
    bytes: usize,
    /// Counts entries, to tell who wrote last.
    written: u64,
}

#[derive(Default)]
struct Kept {
    records: VecDeque<Arc<Record>>,
    bytes: usize,
    written: u64,
}

/// Oldest first.
#[derive(Debug, Default)]
pub struct Found {
    pub records: Vec<Arc<Record>>,
    /// Of all that is kept of the app, whether or not it was asked for: whatever is older is in the files alone.
    pub oldest_us: Option<i64>,
}

impl Recent {
    pub fn add(&mut self, app: &AppName, record: Arc<Record>) {
        if !self.apps.contains_key(app) {
            self.apps.insert(app.clone(), Kept::default());
        }
        let Some(kept) = self.apps.get_mut(app) else { return };
        self.written += 1;
        kept.written = self.written;
        let before = kept.bytes;
        kept.bytes += weight(&record);
        kept.records.push_back(record);
        while kept.bytes > APP_BYTES_MAX
            && let Some(oldest) = kept.records.pop_front()
        {
            kept.bytes -= weight(&oldest);
        }
        self.bytes = self.bytes + kept.bytes - before;
        while self.bytes > BYTES_MAX && self.forget_the_quietest() {}
    }

    pub fn newest(&self, app: &AppName, filter: &Filter, tail: usize) -> Found {
        let Some(kept) = self.apps.get(app) else { return Found::default() };
        let mut left_bytes = ANSWER_BYTES_MAX;
        let mut records: Vec<Arc<Record>> = kept
            .records
            .iter()
            .rev()
            .filter(|record| filter.matches(record))
            .take(tail)
            .map_while(|record| {
                left_bytes = left_bytes.checked_sub(record.line.len())?;
                Some(record.clone())
            })
            .collect();
        records.reverse();
        Found { records, oldest_us: kept.records.front().map(|oldest| oldest.time_us) }
    }

    #[cfg(test)]
    fn knows(&self, app: &AppName) -> bool {
        self.apps.contains_key(app)
    }

    fn forget_the_quietest(&mut self) -> bool {
        let quietest = self.apps.iter().min_by_key(|(_, kept)| kept.written).map(|(app, _)| app.clone());
        let forgotten = quietest.and_then(|app| self.apps.remove(&app));
        self.bytes -= forgotten.as_ref().map_or(0, |kept| kept.bytes);
        forgotten.is_some()
    }
}

fn weight(record: &Record) -> usize {
    record.line.len() + RECORD_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> AppName {
        name.parse().unwrap()
    }

    #[test]
    fn the_newest_are_kept_within_bounds() {
        let mut recent = Recent::default();
        let shop = app("shop");
        for n in 1..=2_000 {
            recent.add(&shop, Arc::new(Record::for_test(n, &"x".repeat(400))));
        }
        let found = recent.newest(&shop, &Filter::default(), usize::MAX);
        assert!(recent.bytes <= APP_BYTES_MAX && found.records.len() > 500);
        assert_eq!(found.records.last().unwrap().time_us, 2_000);
        assert_eq!(found.oldest_us, Some(found.records[0].time_us));
        let times: Vec<i64> = found.records.iter().map(|record| record.time_us).collect();
        assert!(times.is_sorted());
        let filter = Filter { since_us: Some(1_990), ..Filter::default() };
        let found = recent.newest(&shop, &filter, 3);
        assert_eq!(found.records.iter().map(|r| r.time_us).collect::<Vec<_>>(), [1_998, 1_999, 2_000]);
    }

    #[test]
    fn whoever_was_quiet_longest_is_forgotten_first() {
        let mut recent = Recent::default();
        let big = Arc::new(Record::for_test(1, &"x".repeat(APP_BYTES_MAX / 2)));
        for n in 0..200 {
            recent.add(&app(&format!("app-{n}")), big.clone());
            recent.add(&app("talkative"), big.clone());
        }
        assert!(recent.bytes <= BYTES_MAX && recent.bytes > BYTES_MAX / 2);
        assert!(recent.knows(&app("talkative")) && recent.knows(&app("app-199")));
        assert!(!recent.knows(&app("app-0")));
    }
}
