//! Secrets at rest: sealed with a key of the cluster, and bound to the place where they are stored.
//!
//! XChaCha20-Poly1305 with a random nonce. The place is authenticated too, so that a sealed text which somebody
//! copies to another row of the database does not open there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::secret::ClusterSecret;

/// The first characters of a sealed text name its form; another form gets another number.
const VERSION: &str = "v1:";
const NONCE_BYTES: usize = 24;

/// Seals and opens texts of one purpose.
#[derive(Clone)]
pub(crate) struct Sealer(XChaCha20Poly1305);

/// Why a sealed text does not open; reads on from the name of what is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotOpened {
    #[error("was sealed by a newer version of typecase")]
    Version,
    #[error("does not open with this node's secret")]
    Key,
}

impl Sealer {
    pub(crate) fn new(secret: &ClusterSecret, purpose: &str) -> Self {
        Self(XChaCha20Poly1305::new(&secret.key(purpose).into()))
    }

    /// `place` is where the text will be stored: it opens nowhere else. The error is a sentence.
    pub(crate) fn seal(&self, place: &[&str], text: &str) -> Result<String, String> {
        let nonce = XNonce::try_generate()
            .map_err(|error| format!("the operating system gives no random numbers: {error}"))?;
        let place = associated(place);
        let payload = Payload { msg: text.as_bytes(), aad: &place };
        let sealed = self.0.encrypt(&nonce, payload).map_err(|_| "the text cannot be sealed".to_owned())?;
        let mut bytes = nonce.to_vec();
        bytes.extend(sealed);
        Ok(format!("{VERSION}{}", STANDARD_NO_PAD.encode(bytes)))
    }

    pub(crate) fn open(&self, place: &[&str], sealed: &str) -> Result<String, NotOpened> {
        let encoded = sealed.strip_prefix(VERSION).ok_or(NotOpened::Version)?;
        let bytes = STANDARD_NO_PAD.decode(encoded).map_err(|_| NotOpened::Key)?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or(NotOpened::Key)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| NotOpened::Key)?;
        let payload = Payload { msg: sealed, aad: &associated(place) };
        let text = self.0.decrypt(&nonce, payload).map_err(|_| NotOpened::Key)?;
        String::from_utf8(text).map_err(|_| NotOpened::Key)
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(…)")
    }
}

/// Each part with its length, so that no two places read the same.
fn associated(place: &[&str]) -> Vec<u8> {
    let parts =
        place.iter().flat_map(|part| [&(part.len() as u64).to_be_bytes()[..], part.as_bytes()].concat());
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(secret: &str, purpose: &str) -> Sealer {
        Sealer::new(&ClusterSecret::new(&secret.repeat(32)).unwrap(), purpose)
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_alone() {
        let mine = sealer("1", "app config");
        let sealed = mine.seal(&["shop", "token"], "hunter2").unwrap();
        assert!(sealed.starts_with("v1:") && !sealed.contains("hunter2"));
        assert_eq!(mine.open(&["shop", "token"], &sealed).as_deref(), Ok("hunter2"));
        for place in [&["shop", "tokens"][..], &["other", "token"], &["shopt", "oken"], &["shop"], &[]] {
            assert_eq!(mine.open(place, &sealed), Err(NotOpened::Key), "{place:?}");
        }
        for other in [sealer("2", "app config"), sealer("1", "sessions")] {
            assert_eq!(other.open(&["shop", "token"], &sealed), Err(NotOpened::Key));
        }
        // The same text never looks the same twice.
        assert_ne!(mine.seal(&["shop", "token"], "hunter2").unwrap(), sealed);
        for text in ["", "ü".repeat(40_000).as_str()] {
            let sealed = mine.seal(&["a"], text).unwrap();
            assert_eq!(mine.open(&["a"], &sealed).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_was_changed_does_not_open() {
        let mine = sealer("1", "app config");
        let sealed = mine.seal(&["a"], "text").unwrap();
        for place in VERSION.len()..sealed.len() {
            let other = if sealed.as_bytes()[place] == b'A' { "B" } else { "A" };
            let mut changed = sealed.clone();
            changed.replace_range(place..=place, other);
            assert_eq!(mine.open(&["a"], &changed), Err(NotOpened::Key), "{place}");
        }
        for broken in ["v1:", "v1:AAAA", "v1:~", &sealed[..sealed.len() - 4]] {
            assert_eq!(mine.open(&["a"], broken), Err(NotOpened::Key), "{broken}");
        }
        for newer in ["", "text", "v2:AAAA"] {
            assert_eq!(mine.open(&["a"], newer), Err(NotOpened::Version), "{newer}");
        }
    }
}
