//! Tokens: 256 random bits, shown once, stored as their SHA-256.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use typecase_model::Digest;

use crate::control::ControlError;

/// Lets people and secret scanners recognize a token.
const PREFIX: &str = "tc_";
const RANDOM_BYTES: usize = 32;
/// 32 bytes in base64 without padding.
const RANDOM_CHARS: usize = 43;

/// A token that was just made, in clear.
pub struct IssuedToken(String);

impl IssuedToken {
    pub(super) fn generate() -> Result<Self, ControlError> {
        let mut random = [0; RANDOM_BYTES];
        OsRng.try_fill_bytes(&mut random).map_err(|error| {
            ControlError::Internal(format!("the operating system gives no random numbers: {error}"))
        })?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random))))
    }

    /// The secret itself; it goes to whoever asked for it and never into a log of requests.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(super) fn hash(&self) -> String {
        hash(&self.0)
    }
}

pub(super) fn hash(token: &str) -> String {
    Digest::of(token.as_bytes()).hex()
}

pub(super) fn looks_like_a_token(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|random| random.len() == RANDOM_CHARS)
}

/// Writes a file that only the node's own user can read, whatever was there before.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    // Under another name first: at no moment is a half-written or readable file under the real one.
    let fresh = path.with_extension("new");
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    writeln!(file, "{text}")?;
    std::fs::rename(&fresh, path)
}
