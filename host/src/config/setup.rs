//! What only the first start of a node needs.

use std::collections::HashMap;

use super::reader::Reader;
use super::secret::Secret;

/// The contract names this variable; it has no key in the file because it is used once.
pub const ADMIN_PASSWORD_FILE: &str = "TYPECASE_SETUP_ADMIN_PASSWORD_FILE";

/// Guessing is limited elsewhere; this only keeps an empty or one-word file from becoming a password.
const PASSWORD_CHARS_MIN: usize = 8;

#[derive(Debug, Clone)]
pub struct SetupConfig {
    /// The password that user `admin` gets when there is no account yet; else a setup link is printed.
    pub admin_password: Option<Secret>,
}

impl SetupConfig {
    pub(super) fn read(reader: &mut Reader, environment: &HashMap<String, String>) -> Self {
        let admin_password = match environment.get(ADMIN_PASSWORD_FILE).map(|path| Secret::read(path)) {
            None => None,
            Some(Ok(password)) if password.expose().chars().count() < PASSWORD_CHARS_MIN => {
                reader.problem(format!(
                    "{ADMIN_PASSWORD_FILE}: the password is shorter than {PASSWORD_CHARS_MIN} characters: choose a longer one"
                ));
                None
            }
            Some(Ok(password)) => Some(password),
            Some(Err(problem)) => {
                reader.problem(format!("{ADMIN_PASSWORD_FILE}: {problem}"));
                None
            }
        };
        Self { admin_password }
    }
}
