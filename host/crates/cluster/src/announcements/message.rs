//! What goes over the wire: who announces, and what to look at again.

use std::fmt;
use std::str::FromStr;

use typecase_model::{Topic, UnknownTopic};

/// The longest message of today is 84 bytes; a longer one is not ours.
const MESSAGE_BYTES_MAX: usize = 128;

/// One process, for as long as it lives: a node that hears its own announcement has heard it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sender(u64);

impl Sender {
    pub fn random() -> Self {
        Self(rand::random())
    }
}

/// `SENDER TOPIC`: `9f86d081884c7d65 app/hello`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub sender: Sender,
    pub topic: Topic,
}

/// A message of a newer version, or of somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnreadableMessage {
    #[error("not `SENDER TOPIC` in at most {MESSAGE_BYTES_MAX} bytes of text")]
    Malformed,
    #[error(transparent)]
    Topic(#[from] UnknownTopic),
}

impl Message {
    pub fn parse(bytes: &[u8]) -> Result<Self, UnreadableMessage> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(UnreadableMessage::Malformed);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| UnreadableMessage::Malformed)?;
        let (sender, topic) = text.split_once(' ').ok_or(UnreadableMessage::Malformed)?;
        Ok(Self { sender: sender.parse()?, topic: topic.parse()? })
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x} {}", self.sender.0, self.topic)
    }
}

impl FromStr for Sender {
    type Err = UnreadableMessage;

    fn from_str(text: &str) -> Result<Self, UnreadableMessage> {
        // Exactly as it is written: `from_str_radix` alone takes a sign and capitals too.
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.bytes().all(is_digit) {
            return Err(UnreadableMessage::Malformed);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| UnreadableMessage::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip() {
        for topic in [Topic::All, Topic::App("a".repeat(63).parse().unwrap())] {
            let message = Message { sender: Sender(7), topic };
            assert_eq!(Message::parse(message.to_string().as_bytes()), Ok(message));
        }
    }

    #[test]
    fn what_is_not_exactly_a_message_is_refused() {
        let long = format!("0123456789abcdef {}", "a".repeat(MESSAGE_BYTES_MAX));
        for text in [
            "",
            "all",
            " all",
            "0123456789abcde all",
            "0123456789ABCDEF all",
            "+123456789abcdef all",
            "0123456789abcdef  all",
            &long,
        ] {
            assert!(Message::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(Message::parse(b"0123456789abcdef \xff").is_err());
        let newer = Message::parse(b"0123456789abcdef sessions");
        assert_eq!(newer, Err(UnreadableMessage::Topic(UnknownTopic)));
    }
}
