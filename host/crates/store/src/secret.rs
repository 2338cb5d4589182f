//! The secret that all nodes of a cluster share, and the keys that are derived from it.

use hkdf::Hkdf;
use sha2::Sha256;

/// A shorter secret can be guessed.
pub const SECRET_CHARS_MIN: usize = 32;

/// What only the nodes of one cluster know. It is never stored and never printed.
#[derive(Clone)]
pub struct ClusterSecret(Hkdf<Sha256>);

impl ClusterSecret {
    /// Takes the text of the secret file. The error is a sentence for whoever wrote the file.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.chars().count() < SECRET_CHARS_MIN {
            return Err(format!(
                "the secret is shorter than {SECRET_CHARS_MIN} characters: make one with `openssl rand -hex 32`"
            ));
        }
        Ok(Self(Hkdf::new(Some(b"typecase cluster secret"), text.as_bytes())))
    }

    /// A key for one purpose (HKDF-SHA256, RFC 5869); keys of different purposes tell nothing about each other.
    pub(crate) fn key(&self, purpose: &str) -> [u8; 32] {
        let mut key = [0; 32];
        let expanded = self.0.expand(purpose.as_bytes(), &mut key);
        // HKDF fails only for more than 255 hashes of output.
        debug_assert!(expanded.is_ok());
        key
    }

    /// Shows that two nodes have the same secret without telling it.
    pub(crate) fn check(&self) -> String {
        self.key("check").iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClusterSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_depend_on_secret_and_purpose() {
        let one = ClusterSecret::new(&"1".repeat(32)).unwrap();
        let two = ClusterSecret::new(&"2".repeat(32)).unwrap();
        assert_eq!(one.check(), ClusterSecret::new(&"1".repeat(32)).unwrap().check());
        assert_ne!(one.check(), two.check());
        assert_ne!(one.key("a"), one.key("b"));
        assert!(!format!("{one:?}").contains('1'));
        assert!(ClusterSecret::new("short").unwrap_err().contains("32 characters"));
    }
}
