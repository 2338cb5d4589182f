//! Who may use the control plane: the administrator, the setup link, API tokens and sign-ins.
//!
//! Secrets come in hashed and are compared by the database; no function here takes or returns one in clear.

use typecase_model::{NodeId, Principal, Role};

use crate::sql::{Row, now_unix_ms, sql};
use crate::{Store, StoreError};

/// A person with a password.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    /// Argon2id in PHC text form.
    pub password_hash: String,
    pub role: Role,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("role", &self.role).finish()
    }
}

/// An API token as it is listed; the token itself is shown once, when it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    pub name: String,
    pub role: Role,
    /// Who made it.
    pub creator: String,
    pub created_unix_ms: i64,
}

impl Store {
    pub async fn user(&self, name: &str) -> Result<Option<User>, StoreError> {
        self.within("read the user", || async {
            let mut connection = self.database.single().await?;
            let row = sql("SELECT name, password_hash, role FROM users WHERE name = ?")
                .bind(name)
                .fetch_optional(&mut connection)
                .await?;
            let Some(row) = row else { return Ok(None) };
            Ok(Some(User {
                name: row.try_get("name")?,
                password_hash: row.try_get("password_hash")?,
                role: role_of(&row)?,
            }))
        })
        .await
    }

    /// Whether anybody could sign in; false only before setup.
    pub async fn has_users(&self) -> Result<bool, StoreError> {
        self.within("look for users", || async {
            let mut connection = self.database.single().await?;
            let row = sql("SELECT COUNT(*) AS count FROM users").fetch_one(&mut connection).await?;
            Ok(row.try_get::<i64>("count")? > 0)
        })
        .await
    }

    /// Makes the first user. False when there is one already, or when a setup link's hash is given and that
    /// link is unknown or used. Every setup link is void afterwards.
    pub async fn create_first_user(
        &self,
        user: &User,
        setup_token_hash: Option<&str>,
    ) -> Result<bool, StoreError> {
        self.within("create the first user", || async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            // Two nodes may be set up at once; nobody else counts the users until this ends.
            sql("SELECT singleton FROM clusters {for update}").fetch_all(&mut tx).await?;
            let users = sql("SELECT COUNT(*) AS count FROM users")
                .fetch_one(&mut tx)
                .await?
                .try_get::<i64>("count")?;
            if users > 0 {
                return Ok(false);
            }
            if let Some(hash) = setup_token_hash {
                let known =
                    sql("DELETE FROM setup_links WHERE token_hash = ?").bind(hash).execute(&mut tx).await?;
                if known != 1 {
                    return Ok(false);
                }
            }
            sql("DELETE FROM setup_links").execute(&mut tx).await?;
            sql("INSERT INTO users (name, password_hash, role, created_unix_ms) VALUES (?, ?, ?, ?)")
                .bind(&user.name)
                .bind(&user.password_hash)
                .bind(user.role.as_str())
                .bind(now)
                .execute(&mut tx)
                .await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Makes this the only valid setup link of a node: an earlier one went to an earlier start's log. Those of
    /// other nodes stay valid until one of them is used.
    pub async fn replace_setup_link(&self, node: &NodeId, token_hash: &str) -> Result<(), StoreError> {
        self.within("store the setup link", || async {
            let mut tx = self.database.write().await?;
            sql("DELETE FROM setup_links WHERE node = ?").bind(node.as_str()).execute(&mut tx).await?;
            sql("INSERT INTO setup_links (token_hash, node, created_unix_ms) VALUES (?, ?, {now})")
                .bind(token_hash)
                .bind(node.as_str())
                .execute(&mut tx)
                .await?;
            tx.commit().await
        })
        .await
    }

    /// Makes an API token; [`StoreError::Exists`] when the name is taken.
    pub async fn create_api_token(
        &self,
        name: &str,
        token_hash: &str,
        role: Role,
        creator: &str,
    ) -> Result<ApiToken, StoreError> {
        self.within("store the API token", || async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            let inserted = sql("INSERT INTO api_tokens (name, token_hash, role, creator, created_unix_ms)
                 VALUES (?, ?, ?, ?, ?)")
            .bind(name)
            .bind(token_hash)
            .bind(role.as_str())
            .bind(creator)
            .bind(now)
            .execute(&mut tx)
            .await;
            match inserted {
                Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                    return Err(StoreError::Exists(format!("an API token named `{name}`")));
                }
                inserted => inserted?,
            };
            tx.commit().await?;
            Ok(ApiToken { name: name.to_owned(), role, creator: creator.to_owned(), created_unix_ms: now })
        })
        .await
    }

    pub async fn api_tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        self.within("list the API tokens", || async {
            let mut connection = self.database.single().await?;
            sql("SELECT name, role, creator, created_unix_ms FROM api_tokens ORDER BY name")
                .fetch_all(&mut connection)
                .await?
                .iter()
                .map(|row| {
                    Ok(ApiToken {
                        name: row.try_get("name")?,
                        role: role_of(row)?,
                        creator: row.try_get("creator")?,
                        created_unix_ms: row.try_get("created_unix_ms")?,
                    })
                })
                .collect()
        })
        .await
    }

    pub async fn revoke_api_token(&self, name: &str) -> Result<(), StoreError> {
        self.within("revoke the API token", || async {
            let mut tx = self.database.write().await?;
            let gone = sql("DELETE FROM api_tokens WHERE name = ?").bind(name).execute(&mut tx).await?;
            tx.commit().await?;
            match gone {
                0 => Err(StoreError::NotFound(format!("an API token named `{name}`"))),
                _ => Ok(()),
            }
        })
        .await
    }

    /// Records that a user signed in; expired sign-ins leave the table on the way.
    pub async fn create_sign_in(
        &self,
        user: &str,
        token_hash: &str,
        valid_ms: i64,
    ) -> Result<i64, StoreError> {
        self.within("record the sign-in", || async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            sql("DELETE FROM sign_ins WHERE expires_unix_ms < ?").bind(now).execute(&mut tx).await?;
            let expires = now.saturating_add(valid_ms);
            sql("INSERT INTO sign_ins (token_hash, user_name, created_unix_ms, expires_unix_ms)
                 VALUES (?, ?, ?, ?)")
            .bind(token_hash)
            .bind(user)
            .bind(now)
            .bind(expires)
            .execute(&mut tx)
            .await?;
            tx.commit().await?;
            Ok(expires)
        })
        .await
    }

    pub async fn end_sign_in(&self, token_hash: &str) -> Result<(), StoreError> {
        self.within("end the sign-in", || async {
            let mut tx = self.database.write().await?;
            sql("DELETE FROM sign_ins WHERE token_hash = ?").bind(token_hash).execute(&mut tx).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Who an API token or a sign-in with this hash stands for.
    pub async fn principal_of(&self, token_hash: &str) -> Result<Option<Principal>, StoreError> {
        self.within("check the token", || async {
            let mut tx = self.database.read().await?;
            let token = sql("SELECT name, role FROM api_tokens WHERE token_hash = ?")
                .bind(token_hash)
                .fetch_optional(&mut tx)
                .await?;
            if let Some(row) = token {
                let name: &str = row.try_get("name")?;
                return Ok(Some(Principal { name: format!("token:{name}"), role: role_of(&row)? }));
            }
            let now = now_unix_ms(&mut tx).await?;
            let user = sql("SELECT users.name, users.role FROM sign_ins
                 JOIN users ON users.name = sign_ins.user_name
                 WHERE sign_ins.token_hash = ? AND sign_ins.expires_unix_ms > ?")
            .bind(token_hash)
            .bind(now)
            .fetch_optional(&mut tx)
            .await?;
            let Some(row) = user else { return Ok(None) };
            Ok(Some(Principal { name: row.try_get("name")?, role: role_of(&row)? }))
        })
        .await
    }
}

fn role_of(row: &Row) -> Result<Role, StoreError> {
    let role: &str = row.try_get("role")?;
    Role::parse(role).ok_or_else(|| StoreError::corrupt_row("a role", role))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestStore, on_both_databases};

    on_both_databases!(
        a_setup_link_works_once_and_only_before_there_is_a_user,
        tokens_stand_for_a_principal_until_revoked_or_expired,
    );

    fn admin(password_hash: &str) -> User {
        User { name: "admin".to_owned(), password_hash: password_hash.to_owned(), role: Role::Admin }
    }

    async fn a_setup_link_works_once_and_only_before_there_is_a_user(test: TestStore) {
        let store = &test.store;
        assert!(!store.has_users().await.unwrap());
        let node: NodeId = "a".parse().unwrap();
        store.replace_setup_link(&node, "old").await.unwrap();
        store.replace_setup_link(&node, "new").await.unwrap();
        assert!(!store.create_first_user(&admin("x"), Some("old")).await.unwrap());
        assert!(store.create_first_user(&admin("y"), Some("new")).await.unwrap());
        assert!(!store.create_first_user(&admin("z"), Some("new")).await.unwrap());
        assert!(!store.create_first_user(&admin("z"), None).await.unwrap());
        assert_eq!(store.user("admin").await.unwrap().unwrap().password_hash, "y");
    }

    async fn tokens_stand_for_a_principal_until_revoked_or_expired(test: TestStore) {
        let store = &test.store;
        store.create_first_user(&admin("x"), None).await.unwrap();
        store.create_api_token("ci", "hash-1", Role::Publisher, "admin").await.unwrap();
        let taken = store.create_api_token("ci", "hash-2", Role::Admin, "admin").await;
        assert!(matches!(taken, Err(StoreError::Exists(_))), "{taken:?}");
        let principal = store.principal_of("hash-1").await.unwrap().unwrap();
        assert_eq!((principal.name.as_str(), principal.role), ("token:ci", Role::Publisher));
        store.revoke_api_token("ci").await.unwrap();
        assert!(store.principal_of("hash-1").await.unwrap().is_none());
        assert!(matches!(store.revoke_api_token("ci").await, Err(StoreError::NotFound(_))));

        store.create_sign_in("admin", "hash-3", 60_000).await.unwrap();
        store.create_sign_in("admin", "hash-4", -1).await.unwrap();
        assert_eq!(store.principal_of("hash-3").await.unwrap().unwrap().name, "admin");
        assert!(store.principal_of("hash-4").await.unwrap().is_none());
        store.end_sign_in("hash-3").await.unwrap();
        assert!(store.principal_of("hash-3").await.unwrap().is_none());
    }
}
