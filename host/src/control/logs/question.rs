//! What somebody wants of a log.

use std::time::Duration;

use typecase_model::{AppName, EntryLevel};

use crate::logs::{Filter, parse_time};

/// A question as it was asked; times that count from now stay so until a node answers, by its own clock.
#[derive(Debug, Clone)]
pub struct LogQuestion {
    /// So many of the newest entries.
    pub tail: usize,
    pub since: Option<Since>,
    pub level: Option<EntryLevel>,
    pub request: Option<String>,
    pub release: Option<u32>,
    /// Id or name of the only node that is asked.
    pub node: Option<String>,
    pub follow: bool,
    /// Of another node: it asks the rest itself.
    pub this_node_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    AtUs(i64),
    Ago(Duration),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time: write an age such as 90s, 10m, 2h or 7d, or a time such as 2026-01-31T08:30:00Z")]
pub struct SinceError(String);

impl Since {
    pub fn parse(text: &str) -> Result<Self, SinceError> {
        if let Some(time_us) = parse_time(text) {
            return Ok(Self::AtUs(time_us));
        }
        let age = || {
            let unit = text.chars().last()?;
            let seconds: u64 = match unit {
                's' => 1,
                'm' => 60,
                'h' => 3_600,
                'd' => 86_400,
                _ => return None,
            };
            let number: u32 = text[..text.len() - 1].parse().ok()?;
            Some(Self::Ago(Duration::from_secs(seconds * u64::from(number))))
        };
        age().ok_or_else(|| SinceError(text.chars().take(40).collect()))
    }

    fn time_us(self) -> i64 {
        match self {
            Self::AtUs(time_us) => time_us,
            Self::Ago(age) => {
                let now_us = jiff::Timestamp::now().as_microsecond();
                now_us.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
            }
        }
    }

    /// As it is asked of another node.
    fn text(self) -> String {
        match self {
            Self::AtUs(time_us) => crate::logs::shown_time(time_us),
            Self::Ago(age) => format!("{}s", age.as_secs()),
        }
    }
}

impl LogQuestion {
    pub fn filter(&self) -> Filter {
        Filter {
            since_us: self.since.map(Since::time_us),
            level: self.level,
            request: self.request.clone(),
            release: self.release,
        }
    }

    /// The same question to one other node, about its own entries.
    pub fn path_for_a_peer(&self, app: &AppName) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("scope", "node").append_pair("tail", &self.tail.to_string());
        if let Some(since) = self.since {
            query.append_pair("since", &since.text());
        }
        if let Some(level) = self.level {
            query.append_pair("level", level.as_str());
        }
        if let Some(request) = &self.request {
            query.append_pair("request", request);
        }
        if let Some(release) = self.release {
            query.append_pair("release", &release.to_string());
        }
        if self.follow {
            query.append_pair("follow", "1");
        }
        format!("/api/v1/apps/{app}/logs?{}", query.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_ages_or_moments() {
        for (text, expected) in [
            ("90s", Since::Ago(Duration::from_secs(90))),
            ("10m", Since::Ago(Duration::from_secs(600))),
            ("7d", Since::Ago(Duration::from_secs(604_800))),
            ("1970-01-01T01:00:01+01:00", Since::AtUs(1_000_000)),
        ] {
            assert_eq!(Since::parse(text), Ok(expected), "{text}");
            assert_eq!(Since::parse(&expected.text()), Ok(expected));
        }
        for text in ["", "m", "-1h", "10", "10y", "10 m", "yesterday", "2026-01-31", "99999999999d", "1ü"] {
            assert!(Since::parse(text).is_err(), "{text}");
        }
        // The oldest possible age is before any entry, and no overflow.
        assert!(Since::parse("4294967295d").unwrap().time_us() < 0);
    }

    #[test]
    fn a_peer_is_asked_the_same() {
        let question = LogQuestion {
            tail: 5,
            since: Some(Since::AtUs(0)),
            level: Some(EntryLevel::Warn),
            request: Some("a&b".to_owned()),
            release: Some(3),
            node: Some("ignored".to_owned()),
            follow: true,
            this_node_only: false,
        };
        assert_eq!(
            question.path_for_a_peer(&"shop".parse().unwrap()),
            "/api/v1/apps/shop/logs?scope=node&tail=5&since=1970-01-01T00%3A00%3A00.000000Z&level=warn&request=a%26b&release=3&follow=1"
        );
    }
}
