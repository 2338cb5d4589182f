//! What only the first start of a node needs.

use std::collections::HashMap;
use std::path::Path;

use super::node::DATABASE_FILE;
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
    /// A node that has its database already starts without the file: operators delete it after the set-up.
    pub(super) fn read(reader: &mut Reader, environment: &HashMap<String, String>, data: &Path) -> Self {
        let started_before = data.join(DATABASE_FILE).exists();
        let admin_password = match environment.get(ADMIN_PASSWORD_FILE).map(|path| Secret::read(path)) {
            None => None,
            Some(Ok(password)) if password.expose().chars().count() < PASSWORD_CHARS_MIN => {
                reader.problem(format!(
                    "{ADMIN_PASSWORD_FILE}: the password is shorter than {PASSWORD_CHARS_MIN} characters: choose a longer one"
                ));
                None
            }
            Some(Ok(password)) => Some(password),
            Some(Err(_)) if started_before => None,
            Some(Err(problem)) => {
                reader.problem(format!("{ADMIN_PASSWORD_FILE}: {problem}"));
                None
            }
        };
        Self { admin_password }
    }
}
