//! Who acts: the first administrator, API tokens, sign-ins and the node's own `cli-token`.
//!
//! Small on purpose: the user service replaces it. Tokens are random, so a plain SHA-256 of them is
//! enough to store; passwords are not, so they get Argon2id.

mod attempts;
mod password;
mod secret;

use std::path::Path;
use std::sync::Arc;

use typecase_model::{NodeId, Principal, Role};
use typecase_store::{ApiToken, Store, User};

use self::attempts::Attempts;
pub use self::secret::IssuedToken;
use super::ControlError;

/// The one user there is for now.
const ADMIN: &str = "admin";
/// The file beside a node's data that lets its own command line in.
const CLI_TOKEN_FILE: &str = "cli-token";
/// How long a sign-in lasts: a working day.
const SIGN_IN_MS: i64 = 12 * 3_600 * 1_000;
const TOKEN_NAME_CHARS_MAX: usize = 64;

/// Clones share everything.
#[derive(Clone)]
pub struct Identity {
    store: Store,
    cli_token_hash: Arc<str>,
    attempts: Arc<Attempts>,
}

/// What a start has to tell the operator about identity.
pub struct Started {
    pub identity: Identity,
    /// Only while there is no account: the secret part of the one-time setup link, `/setup?token=...`.
    pub setup_token: Option<IssuedToken>,
}

impl Identity {
    /// Writes a fresh `cli-token` into the data folder. When no account exists yet, makes `admin` with the
    /// given password, or else a setup link that replaces the one of this node's earlier start.
    pub async fn start(
        store: Store,
        node: &NodeId,
        data_dir: &Path,
        admin_password: Option<&str>,
    ) -> Result<Started, ControlError> {
        let cli_token = IssuedToken::generate()?;
        let path = data_dir.join(CLI_TOKEN_FILE);
        secret::write_private(&path, cli_token.expose())
            .map_err(|error| ControlError::disk("write the file cli-token", error))?;
        let identity =
            Self { store, cli_token_hash: cli_token.hash().into(), attempts: Arc::new(Attempts::default()) };
        let mut setup_token = None;
        if !identity.store.has_users().await? {
            match admin_password {
                Some(password) => {
                    identity.create_admin(password, None).await?;
                    tracing::info!("user `{ADMIN}` was made with the password that was given");
                }
                None => {
                    let token = IssuedToken::generate()?;
                    identity.store.replace_setup_link(node, &token.hash()).await?;
                    setup_token = Some(token);
                }
            }
        }
        Ok(Started { identity, setup_token })
    }

    /// Who the bearer of a token is.
    pub async fn authenticate(&self, token: &str) -> Result<Principal, ControlError> {
        // Whoever sends something else has no token of ours; the database is not asked.
        if !secret::looks_like_a_token(token) {
            return Err(ControlError::TokenInvalid);
        }
        let hash = secret::hash(token);
        if *hash == *self.cli_token_hash {
            return Ok(Principal { name: "cli".to_owned(), role: Role::Admin });
        }
        self.store.principal_of(&hash).await?.ok_or(ControlError::TokenInvalid)
    }

    /// Makes the first administrator, with the secret of the setup link.
    pub async fn set_up(&self, setup_token: &str, password: &str) -> Result<(), ControlError> {
        self.attempts.take()?;
        let hash = secret::hash(setup_token);
        if !self.create_admin(password, Some(&hash)).await? {
            return Err(ControlError::SetupLinkInvalid);
        }
        self.attempts.forgive();
        tracing::info!("user `{ADMIN}` was made with the setup link");
        Ok(())
    }

    async fn create_admin(
        &self,
        password: &str,
        setup_token_hash: Option<&str>,
    ) -> Result<bool, ControlError> {
        let user = User {
            name: ADMIN.to_owned(),
            password_hash: password::hash(password).await?,
            role: Role::Admin,
        };
        Ok(self.store.create_first_user(&user, setup_token_hash).await?)
    }

    /// Checks a password and issues a token that is valid for a working day.
    pub async fn sign_in(&self, user: &str, password: &str) -> Result<(IssuedToken, i64), ControlError> {
        self.attempts.take()?;
        let found = self.store.user(user).await?;
        // An unknown user costs as much time as a wrong password, so nobody learns which of the two it was.
        let right = password::verify(password, found.as_ref().map(|user| &*user.password_hash)).await?;
        let Some(user) = found.filter(|_| right) else {
            tracing::warn!("a sign-in with a wrong user or password was refused");
            return Err(ControlError::PasswordWrong);
        };
        self.attempts.forgive();
        let token = IssuedToken::generate()?;
        let expires = self.store.create_sign_in(&user.name, &token.hash(), SIGN_IN_MS).await?;
        tracing::info!(principal.name = %user.name, "signed in");
        Ok((token, expires))
    }

    pub async fn sign_out(&self, token: &str) -> Result<(), ControlError> {
        Ok(self.store.end_sign_in(&secret::hash(token)).await?)
    }

    /// Makes an API token. Its secret is in the answer and nowhere else.
    pub async fn create_api_token(
        &self,
        name: &str,
        role: Role,
        creator: &Principal,
    ) -> Result<(ApiToken, IssuedToken), ControlError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > TOKEN_NAME_CHARS_MAX || !name.bytes().all(allowed) {
            return Err(ControlError::TokenNameMalformed(name.chars().take(80).collect()));
        }
        let token = IssuedToken::generate()?;
        let stored = self.store.create_api_token(name, &token.hash(), role, &creator.name).await?;
        tracing::info!(token.name = name, role = role.as_str(), principal.name = %creator.name, "API token made");
        Ok((stored, token))
    }

    pub async fn api_tokens(&self) -> Result<Vec<ApiToken>, ControlError> {
        Ok(self.store.api_tokens().await?)
    }

    pub async fn revoke_api_token(&self, name: &str, principal: &Principal) -> Result<(), ControlError> {
        self.store.revoke_api_token(name).await?;
        tracing::info!(token.name = name, principal.name = %principal.name, "API token revoked");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use typecase_store::ClusterSecret;

    use super::*;

    async fn start(folder: &Path, password: Option<&str>) -> Started {
        let secret = ClusterSecret::new(&"secret ".repeat(8)).unwrap();
        let store = Store::open_sqlite(&folder.join("db"), &folder.join("storage"), &secret).await.unwrap();
        Identity::start(store, &"node-1".parse().unwrap(), folder, password).await.unwrap()
    }

    fn code<T>(result: Result<T, ControlError>) -> &'static str {
        result.map(drop).map_or_else(|error| error.code(), |()| "fine")
    }

    #[tokio::test]
    async fn from_the_setup_link_to_a_token_that_is_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let Started { identity, setup_token } = start(folder.path(), None).await;
        let setup_token = setup_token.unwrap();
        let secret = setup_token.expose();
        assert_eq!(code(identity.set_up("tc_wrong", "long enough").await), "setup-link-invalid");
        assert_eq!(code(identity.set_up(secret, "short").await), "password-unsuitable");
        assert_eq!(code(identity.sign_in(ADMIN, "long enough").await), "password-wrong");
        assert_eq!(code(identity.set_up(secret, "long enough").await), "fine");
        assert_eq!(code(identity.set_up(secret, "long enough").await), "setup-link-invalid");
        assert_eq!(code(identity.sign_in("nobody", "long enough").await), "password-wrong");

        let (session, _) = identity.sign_in(ADMIN, "long enough").await.unwrap();
        let admin = identity.authenticate(session.expose()).await.unwrap();
        assert_eq!((admin.name.as_str(), admin.role), (ADMIN, Role::Admin));
        let made = identity.create_api_token("ci", Role::Viewer, &admin).await.unwrap();
        let viewer = identity.authenticate(made.1.expose()).await.unwrap();
        assert_eq!((viewer.name.as_str(), viewer.role), ("token:ci", Role::Viewer));
        identity.revoke_api_token("ci", &admin).await.unwrap();
        assert_eq!(code(identity.authenticate(made.1.expose()).await), "token-invalid");
        identity.sign_out(session.expose()).await.unwrap();
        assert_eq!(code(identity.authenticate(session.expose()).await), "token-invalid");
        assert_eq!(
            code(identity.create_api_token("a b", Role::Viewer, &admin).await),
            "token-name-malformed"
        );
    }

    #[tokio::test]
    async fn each_start_writes_a_private_cli_token_that_acts_as_admin() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CLI_TOKEN_FILE);
        std::fs::write(&path, "old and readable by all").unwrap();
        let Started { identity, setup_token } = start(folder.path(), Some("long enough")).await;
        assert!(setup_token.is_none());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let token = std::fs::read_to_string(&path).unwrap();
        let cli = identity.authenticate(token.trim()).await.unwrap();
        assert_eq!((cli.name.as_str(), cli.role), ("cli", Role::Admin));
        assert_eq!(code(identity.authenticate("tc_").await), "token-invalid");
        assert_eq!(code(identity.sign_in(ADMIN, "long enough").await), "fine");
    }

    #[tokio::test]
    async fn guessing_is_slowed_down() {
        let folder = tempfile::tempdir().unwrap();
        let Started { identity, .. } = start(folder.path(), Some("long enough")).await;
        let mut codes = Vec::new();
        for _ in 0..attempts::BURST + 1 {
            codes.push(code(identity.sign_in(ADMIN, "a wrong one").await));
        }
        assert_eq!(codes[0], "password-wrong");
        assert_eq!(codes.last(), Some(&"too-many-attempts"));
    }
}
