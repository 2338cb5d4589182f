//! Which entries somebody wants.

use typecase_model::EntryLevel;

use super::Record;

/// The end of a request's id names it when it has so many characters; the beginning is the time.
pub const REQUEST_CHARS_MIN: usize = 6;

/// All of what is set must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub since_us: Option<i64>,
    /// This level and those above it.
    pub level: Option<EntryLevel>,
    /// A request's id, or the end of one.
    pub request: Option<String>,
    pub release: Option<u32>,
}

impl Filter {
    pub fn matches(&self, record: &Record) -> bool {
        self.since_us.is_none_or(|since_us| record.time_us >= since_us)
            && self.level.is_none_or(|level| record.level >= level)
            && self.release.is_none_or(|release| record.release == release)
            && self.request.as_deref().is_none_or(|request| is_request(&record.request_id, request))
    }
}

fn is_request(id: &str, wanted: &str) -> bool {
    id == wanted || wanted.len() >= REQUEST_CHARS_MIN && id.ends_with(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_all_of_its_parts() {
        let record = Record::for_test(1_000, "an entry");
        assert_eq!((record.level, record.release, &*record.request_id), (EntryLevel::Info, 1, "0123456789"));
        let all = Filter {
            since_us: Some(1_000),
            level: Some(EntryLevel::Debug),
            request: Some("456789".into()),
            release: Some(1),
        };
        assert!(all.matches(&record) && Filter::default().matches(&record));
        for other in [
            Filter { since_us: Some(1_001), ..all.clone() },
            Filter { level: Some(EntryLevel::Warn), ..all.clone() },
            Filter { release: Some(2), ..all.clone() },
            Filter { request: Some("012345".into()), ..all.clone() },
            Filter { request: Some("89".into()), ..all.clone() },
        ] {
            assert!(!other.matches(&record), "{other:?}");
        }
    }
}
