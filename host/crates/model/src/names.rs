//! Identifiers. Each is a newtype that can only be made from text that satisfies its rules.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The longest app name: one DNS label (RFC 1035), so that a name can also be a host's first label.
pub const APP_NAME_CHARS_MAX: usize = 63;

/// Names that would shadow the server's own paths and hosts on the app port.
pub const APP_NAMES_RESERVED: [&str; 8] =
    ["api", "console", "livez", "metrics", "readyz", "typecase", "userservice", "well-known"];

/// Why a text is not the identifier it should be; the message says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error(
        "`{0}` is not an app name: use 1 to 63 of a-z, 0-9 and `-`, starting with a letter and not ending with `-`"
    )]
    Malformed(String),
    #[error("`{0}` is reserved for the server's own paths: choose another app name")]
    Reserved(String),
    #[error("`{0}` is not a digest: expected `sha256:` and 64 hexadecimal digits")]
    Digest(String),
    #[error("`{0}` is not a release number: expected a whole number from 1")]
    Release(String),
    #[error("`{0}` is not a node id: expected 1 to 63 of a-z, A-Z, 0-9, `.`, `_` and `-`")]
    Node(String),
}

/// The name of a published app: one DNS label in lower case.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppName(Arc<str>);

impl AppName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let bytes = text.as_bytes();
        let well_formed = (1..=APP_NAME_CHARS_MAX).contains(&bytes.len())
            && bytes[0].is_ascii_lowercase()
            && !text.ends_with('-')
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
        if APP_NAMES_RESERVED.contains(&text.to_ascii_lowercase().as_str()) {
            return Err(NameError::Reserved(shorten(text)));
        }
        if !well_formed {
            return Err(NameError::Malformed(shorten(text)));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for AppName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<AppName> for String {
    fn from(name: AppName) -> String {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The SHA-256 digest of a bundle or component; written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Computes the digest of bytes that are in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Takes the output of a SHA-256 that was computed while the bytes went by.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 64 hexadecimal digits without the `sha256:` prefix: a file name.
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        }
        text
    }

    /// The first 12 hexadecimal digits: enough for people to tell two digests apart.
    pub fn short(&self) -> String {
        self.hex()[..12].to_owned()
    }
}

impl FromStr for Digest {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = || NameError::Digest(shorten(text));
        let hex = text.strip_prefix("sha256:").ok_or_else(bad)?;
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number of a release within its app, counted from 1 and never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseNumber(pub u32);

impl FromStr for ReleaseNumber {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.parse() {
            Ok(number) if number > 0 => Ok(Self(number)),
            _ => Err(NameError::Release(shorten(text))),
        }
    }
}

impl fmt::Display for ReleaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number that every shared state carries; raised by each change, compared and never reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The lasting identity of one node, kept in its data folder.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(Arc<str>);

impl NodeId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if text.is_empty() || text.len() > APP_NAME_CHARS_MAX || !text.bytes().all(allowed) {
            return Err(NameError::Node(shorten(text)));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for NodeId {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> String {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Error messages repeat what was given, but never more of it than a line shows.
fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_names() {
        for good in ["a", "hello", "hello-2", &"a".repeat(63)] {
            assert!(good.parse::<AppName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "1a", "a.b", "a/b", "é", &"a".repeat(64)] {
            assert!(matches!(bad.parse::<AppName>(), Err(NameError::Malformed(_))), "{bad}");
        }
        for reserved in ["console", "UserService"] {
            assert!(matches!(reserved.parse::<AppName>(), Err(NameError::Reserved(_))));
        }
    }

    #[test]
    fn digests_round_trip() {
        let digest = Digest::of(b"typecase");
        assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
        assert!("sha256:zz".parse::<Digest>().is_err());
    }
}
