//! What a proxy in front of Redis can do to announcements alone: it reads where one message of the protocol ends
//! and the next begins, and everything else passes.

/// What becomes of each message that Redis pushes to a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcements {
    Dropped,
    Duplicated,
    /// Held back for this long while everything else passes.
    LateMs(u64),
    /// Every other one is held back for this long, so that the next one overtakes it.
    EveryOtherLateMs(u64),
}

/// Kinds of pushed messages: to a channel, to a pattern, to a channel of one shard.
const PUSHED: [&[u8]; 3] = [b"message", b"pmessage", b"smessage"];

/// The length of the whole message at the start of these bytes; none while it is incomplete.
pub(super) fn message_length(bytes: &[u8]) -> Option<usize> {
    let head_length = bytes.windows(2).position(|two| two == b"\r\n")? + 2;
    let number = || {
        let digits = str::from_utf8(&bytes[1..head_length - 2]).ok();
        // A missing value has the length -1, and nothing follows.
        digits.and_then(|digits| digits.parse::<i64>().ok()).map_or(0, |number| number.max(0)) as usize
    };
    let parts = match bytes[0] {
        b'$' | b'=' | b'!' if bytes.get(1) == Some(&b'-') => 0,
        b'$' | b'=' | b'!' => {
            let length = head_length + number() + 2;
            return (bytes.len() >= length).then_some(length);
        }
        b'*' | b'~' | b'>' => number(),
        b'%' => 2 * number(),
        // Attributes stand before the message that they are about.
        b'|' => 2 * number() + 1,
        _ => 0,
    };
    let mut length = head_length;
    for _ in 0..parts {
        length += message_length(&bytes[length..])?;
    }
    Some(length)
}

/// Whether a whole message is an announcement, in either version of the protocol.
pub(super) fn is_announcement(message: &[u8]) -> bool {
    let mut lines = message.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let head = lines.next().unwrap_or_default();
    let name = lines.nth(1).unwrap_or_default();
    (head.starts_with(b"*") || head.starts_with(b">")) && PUSHED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart_at_every_cut() {
        let messages: [&[u8]; 8] = [
            b"+OK\r\n",
            b":12\r\n",
            b"$-1\r\n",
            b"$5\r\na\r\nbc\r\n",
            b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
            b"%1\r\n+key\r\n*0\r\n",
            b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n",
            b"*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nc\r\n$2\r\nhi\r\n",
        ];
        for message in messages {
            for cut in 0..message.len() {
                assert_eq!(message_length(&message[..cut]), None, "{}", message.escape_ascii());
            }
            let followed = [message, b"+next"].concat();
            assert_eq!(message_length(&followed), Some(message.len()), "{}", message.escape_ascii());
        }
        let announcements = messages.map(is_announcement);
        assert_eq!(announcements, [false, false, false, false, false, false, true, true]);
    }
}
