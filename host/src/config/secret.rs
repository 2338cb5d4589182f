//! Secrets come from files, so that they show neither in `ps` nor in a dump of the environment.

use std::fmt;
use std::io::Read;

/// Tokens and passwords are a line; a longer file is the wrong file.
const SECRET_BYTES_MAX: u64 = 4_096;

/// Text that is never printed: its `Debug` hides it, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Reads a file's text without the line end that editors add; an error is a sentence.
    pub fn read(path: &str) -> Result<Self, String> {
        let file = std::fs::File::open(path).map_err(|error| format!("{path}: cannot be read: {error}"))?;
        let mut text = String::new();
        file.take(SECRET_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(|error| format!("{path}: cannot be read: {error}"))?;
        if text.len() as u64 > SECRET_BYTES_MAX {
            return Err(format!("{path}: larger than {SECRET_BYTES_MAX} bytes; is this the right file?"));
        }
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err(format!("{path}: is empty: write the secret into it")),
            text => Ok(Self(text.to_owned())),
        }
    }

    /// For the one place that needs it; the name makes each use easy to find.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
