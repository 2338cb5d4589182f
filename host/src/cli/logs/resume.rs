//! Where to go on after a connection was lost: a little before what was seen last, without telling anything twice.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::entry::Line;

/// Nodes tell of their entries a little out of order, and their clocks differ.
const OVERLAP: Duration = Duration::from_secs(30);
/// The most that the server gives.
const CATCH_UP_MAX: u32 = 10_000;
/// Entries that are recognized when they come again.
const KNOWN_MAX: usize = 2 * CATCH_UP_MAX as usize;

pub struct Resume {
    tail: u32,
    since: Option<String>,
    last: Option<Timestamp>,
    /// Node and time of an entry name it.
    known: HashSet<(String, String)>,
    order: VecDeque<(String, String)>,
    failing: bool,
}

impl Resume {
    pub fn new(tail: u32, since: Option<String>) -> Self {
        let (known, order) = (HashSet::new(), VecDeque::new());
        Self { tail, since, last: None, known, order, failing: false }
    }

    /// What to ask for: at first what somebody wants, later what may have been missed.
    pub fn query(&self) -> Vec<(&'static str, String)> {
        let (tail, since) = match self.last {
            None => (self.tail, self.since.clone()),
            Some(last) => (CATCH_UP_MAX, last.checked_sub(OVERLAP).ok().map(|since| since.to_string())),
        };
        let tail = ("tail", tail.to_string());
        since.map(|since| ("since", since)).into_iter().chain([tail]).collect()
    }

    pub fn reached(&mut self) {
        self.failing = false;
    }

    /// True once for each time that the server is away.
    pub fn is_first_failure(&mut self) -> bool {
        !std::mem::replace(&mut self.failing, true)
    }

    /// Whether a line was told already; from now on it was.
    pub fn knows(&mut self, line: &Line) -> bool {
        let Line::Entry(entry, _) = line else { return false };
        let time = entry.time.parse::<Timestamp>().ok();
        self.last = self.last.max(time);
        let key = (entry.node.clone(), entry.time.clone());
        if !self.known.insert(key.clone()) {
            return true;
        }
        self.order.push_back(key);
        if self.order.len() > KNOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        false
    }
}

/// Ages and exact times are the server's to read; times of people are of their own clock and time zone.
pub fn parse_since(text: &str) -> Result<String, String> {
    let age = text.strip_suffix(['s', 'm', 'h', 'd']).is_some_and(|number| number.parse::<u32>().is_ok());
    if age || text.parse::<Timestamp>().is_ok() {
        return Ok(text.to_owned());
    }
    let zone = TimeZone::system();
    let of_day = |date: DateTime| date.to_zoned(zone.clone()).map(|time| time.timestamp().to_string()).ok();
    let moment = if text.contains(':')
        && let Ok(time) = text.parse::<Time>()
    {
        of_day(Zoned::now().date().to_datetime(time))
    } else if let Ok(moment) = text.parse::<DateTime>() {
        of_day(moment)
    } else {
        text.parse::<Date>().ok().and_then(|date| of_day(date.to_datetime(Time::midnight())))
    };
    moment.ok_or_else(|| {
        "write an age such as 90s, 10m, 2h or 7d, or a time such as 08:30, 2026-01-31 or 2026-01-31T08:30:00Z"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(node: &str, time: &str) -> Line {
        Line::parse(format!(
            r#"{{"time":"{time}","level":"info","release.number":1,"node.name":"{node}","message":"x"}}"#
        ))
    }

    #[test]
    fn going_on_overlaps_and_tells_nothing_twice() {
        let mut resume = Resume::new(7, Some("10m".to_owned()));
        assert_eq!(resume.query(), [("since", "10m".to_owned()), ("tail", "7".to_owned())]);
        assert!(!resume.knows(&entry("a", "2026-11-22T10:00:40.000001Z")));
        assert!(!resume.knows(&entry("b", "2026-11-22T10:00:40.000001Z")));
        assert!(!resume.knows(&entry("a", "2026-11-22T10:00:39.000001Z")));
        assert_eq!(resume.query()[0], ("since", "2026-11-22T10:00:10.000001Z".to_owned()));
        assert!(resume.knows(&entry("a", "2026-11-22T10:00:40.000001Z")));
        assert!(!resume.knows(&Line::Live) && !resume.knows(&Line::Live));
        assert!(resume.is_first_failure() && !resume.is_first_failure());
        resume.reached();
        assert!(resume.is_first_failure());
    }

    #[test]
    fn times_of_people_are_of_their_zone() {
        for text in ["10m", "2026-01-31T08:30:00Z", "2026-01-31T08:30:00+08:00"] {
            assert_eq!(parse_since(text).as_deref(), Ok(text));
        }
        for text in ["08:30", "08:30:15", "2026-01-31", "2026-01-31 08:30", "2026-01-31T08:30"] {
            let moment = parse_since(text).unwrap();
            assert!(moment.parse::<Timestamp>().is_ok(), "{text}: {moment}");
        }
        for text in ["", "10", "tomorrow", "25:00", "-5m"] {
            assert!(parse_since(text).is_err(), "{text}");
        }
    }
}
