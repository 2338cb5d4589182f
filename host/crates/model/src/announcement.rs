//! What an announcement may say: which shared state to look at again, and nothing else.

use std::fmt;
use std::str::FromStr;

use crate::AppName;

/// The text of the one topic that names something: `app/hello`.
const APP_PREFIX: &str = "app/";

/// A piece of shared state that reconcile tasks read again when it is announced.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// One app's row: its generation, active release, candidate and receipts.
    App(AppName),
    /// The cluster's dynamic settings: their generation, and the receipts of the nodes that apply them.
    Settings,
    /// The table of nodes: who joined, left, drains or serves again.
    Nodes,
    /// The stored bundles: one is damaged or missing, and whoever has a verified copy can heal it.
    Bundles,
    /// Everything: sent to itself by a node that may have missed announcements.
    All,
}

/// A text that names no topic of this version; a newer one may announce more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a topic that this version knows")]
pub struct UnknownTopic;

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(app) => write!(f, "{APP_PREFIX}{app}"),
            Self::Settings => f.write_str("settings"),
            Self::Nodes => f.write_str("nodes"),
            Self::Bundles => f.write_str("bundles"),
            Self::All => f.write_str("all"),
        }
    }
}

impl FromStr for Topic {
    type Err = UnknownTopic;

    fn from_str(text: &str) -> Result<Self, UnknownTopic> {
        match text {
            "settings" => Ok(Self::Settings),
            "nodes" => Ok(Self::Nodes),
            "bundles" => Ok(Self::Bundles),
            "all" => Ok(Self::All),
            _ => {
                let app = text.strip_prefix(APP_PREFIX).ok_or(UnknownTopic)?;
                app.parse().map(Self::App).map_err(|_| UnknownTopic)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_round_trip_as_text() {
        let app = Topic::App("hello-2".parse().unwrap());
        assert_eq!(app.to_string(), "app/hello-2");
        for topic in [app, Topic::Settings, Topic::Nodes, Topic::Bundles, Topic::All] {
            assert_eq!(topic.to_string().parse(), Ok(topic));
        }
    }

    #[test]
    fn what_is_not_exactly_a_topic_is_none() {
        let long = format!("app/{}", "a".repeat(64));
        for text in ["", "App/hello", "app/", "app/UPPER", "app/a/b", "app/a\n", "all ", "release/1", &long] {
            assert_eq!(text.parse::<Topic>(), Err(UnknownTopic), "{text:?}");
        }
    }
}
