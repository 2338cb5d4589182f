//! Passwords: Argon2id, on threads where that may take its time, a few at once.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;

use crate::control::ControlError;

const CHARS_MIN: usize = 8;
/// Argon2 takes any length; a client may not make it hash megabytes.
const CHARS_MAX: usize = 256;

/// Each computation takes about 20 MiB and a good part of a core.
static COMPUTATIONS: Semaphore = Semaphore::const_new(2);

pub(super) async fn hash(password: &str) -> Result<String, ControlError> {
    if !(CHARS_MIN..=CHARS_MAX).contains(&password.chars().count()) {
        return Err(ControlError::PasswordUnsuitable { min: CHARS_MIN, max: CHARS_MAX });
    }
    let password = password.to_owned();
    compute(move || {
        Argon2::default()
            .hash_password(password.as_bytes())
            .map(|hash| hash.to_string())
            .map_err(|error| ControlError::Internal(format!("cannot hash the password: {error}")))
    })
    .await
}

/// Whether the password is the one behind the hash. Without a hash the answer is no, after the same work.
pub(super) async fn verify(password: &str, hash: Option<&str>) -> Result<bool, ControlError> {
    if password.chars().count() > CHARS_MAX {
        return Ok(false);
    }
    let (password, hash) = (password.to_owned(), hash.map(str::to_owned));
    compute(move || {
        let Some(hash) = hash else {
            let _ = Argon2::default().hash_password(password.as_bytes());
            return Ok(false);
        };
        let hash = PasswordHash::new(&hash)
            .map_err(|error| ControlError::Internal(format!("a stored password hash: {error}")))?;
        Ok(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
    })
    .await
}

async fn compute<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ControlError> + Send + 'static,
) -> Result<T, ControlError> {
    let turn = COMPUTATIONS.acquire().await;
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    })
    .await;
    done.map_err(|error| ControlError::Internal(format!("password computation: {error}")))?
}
