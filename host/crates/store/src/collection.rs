//! The `bundles` table, and what is thrown away: old releases, and bundles no release refers to.
//!
//! A bundle is noted here before it is stored, so nothing stored is ever unknown; and it is marked before it
//! is deleted, so a publish that brings it back at that very moment is told to try again.

use std::collections::HashSet;
use std::path::Path;

use sqlx::Row;
use typecase_model::{Digest, ReleaseState};

use crate::database::now_unix_ms;
use crate::{Store, StoreError};

/// How many releases of an app can be looked at and rolled back to.
const RELEASES_KEPT: u32 = 50;

/// What a collection removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    pub releases: u64,
    pub bundles: u64,
}

impl Store {
    /// Stores a bundle under its digest; once this returns it outlives a power cut.
    pub async fn put_bundle(&self, digest: Digest, file: &Path) -> Result<(), StoreError> {
        self.note_bundle(digest).await?;
        self.bundles.put_file(digest, file).await
    }

    /// Removes all but the newest releases of each app, then the bundles that no release refers to and nobody
    /// has published for `unused_ms`. What serves, is rolled out or would be rolled back to always stays.
    pub async fn collect(&self, unused_ms: i64) -> Result<Collected, StoreError> {
        let releases = self.remove_old_releases().await?;
        let mut bundles = 0;
        for digest in self.mark_unused_bundles(unused_ms).await? {
            self.bundles.delete(digest).await?;
            self.forget_bundle(digest).await?;
            bundles += 1;
        }
        Ok(Collected { releases, bundles })
    }

    async fn note_bundle(&self, digest: Digest) -> Result<(), StoreError> {
        self.within("note the bundle", async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            let row = sqlx::query("SELECT state FROM bundles WHERE digest = ?")
                .bind(digest.to_string())
                .fetch_optional(&mut *tx)
                .await?;
            match row {
                None => {
                    sqlx::query(
                        "INSERT INTO bundles (digest, state, touched_unix_ms) VALUES (?, 'stored', ?)",
                    )
                    .bind(digest.to_string())
                    .bind(now)
                    .execute(&mut *tx)
                    .await?;
                }
                Some(row) if row.try_get::<&str, _>("state")? == "stored" => {
                    sqlx::query("UPDATE bundles SET touched_unix_ms = ? WHERE digest = ?")
                        .bind(now)
                        .bind(digest.to_string())
                        .execute(&mut *tx)
                        .await?;
                }
                Some(_) => {
                    let source = "its unused copy is being deleted right now; try again";
                    return Err(StoreError::storage("store the bundle", source));
                }
            }
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    async fn remove_old_releases(&self) -> Result<u64, StoreError> {
        let mut removed = 0;
        let apps = self.within("find old releases", async {
            let mut connection = self.database.reader().await?;
            sqlx::query(
                "SELECT apps.name AS name FROM apps JOIN releases ON releases.app = apps.name
                 GROUP BY apps.name HAVING COUNT(*) > ?",
            )
            .bind(RELEASES_KEPT)
            .fetch_all(&mut *connection)
            .await?
            .iter()
            .map(|row| crate::apps::name_of(row, "name"))
            .collect::<Result<Vec<_>, _>>()
        });
        for app in apps.await? {
            removed += self
                .within("remove old releases", async {
                    let mut tx = self.database.write().await?;
                    let rows = sqlx::query(
                        "SELECT release_number, state, activated_unix_ms FROM releases WHERE app = ?
                         ORDER BY release_number DESC",
                    )
                    .bind(app.as_str())
                    .fetch_all(&mut *tx)
                    .await?;
                    let mut old = Vec::new();
                    let mut previous: Option<(i64, u32)> = None;
                    for (index, row) in rows.iter().enumerate() {
                        let number: u32 = row.try_get("release_number")?;
                        let state = ReleaseState::parse(row.try_get("state")?);
                        let activated: Option<i64> = row.try_get("activated_unix_ms")?;
                        if state == Some(ReleaseState::Retired) {
                            previous = previous.max(activated.map(|at| (at, number)));
                        }
                        let in_use =
                            matches!(state, None | Some(ReleaseState::Active | ReleaseState::Preparing));
                        if index >= RELEASES_KEPT as usize && !in_use {
                            old.push(number);
                        }
                    }
                    old.retain(|number| previous.is_none_or(|(_, keep)| keep != *number));
                    for number in &old {
                        sqlx::query("DELETE FROM releases WHERE app = ? AND release_number = ?")
                            .bind(app.as_str())
                            .bind(number)
                            .execute(&mut *tx)
                            .await?;
                    }
                    tx.commit().await?;
                    Ok(old.len() as u64)
                })
                .await?;
        }
        Ok(removed)
    }

    async fn mark_unused_bundles(&self, unused_ms: i64) -> Result<HashSet<Digest>, StoreError> {
        self.within("find unused bundles", async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            sqlx::query(
                "UPDATE bundles SET state = 'deleting'
                 WHERE touched_unix_ms <= ?
                   AND NOT EXISTS (SELECT 1 FROM releases WHERE releases.digest = bundles.digest)",
            )
            .bind(now.saturating_sub(unused_ms))
            .execute(&mut *tx)
            .await?;
            let rows = sqlx::query("SELECT digest FROM bundles WHERE state = 'deleting'")
                .fetch_all(&mut *tx)
                .await?;
            tx.commit().await?;
            rows.iter()
                .map(|row| {
                    let digest: &str = row.try_get("digest")?;
                    digest.parse().map_err(|error| StoreError::corrupt_row("bundles.digest", error))
                })
                .collect()
        })
        .await
    }

    async fn forget_bundle(&self, digest: Digest) -> Result<(), StoreError> {
        self.within("forget the bundle", async {
            let mut tx = self.database.write().await?;
            sqlx::query("DELETE FROM bundles WHERE digest = ? AND state = 'deleting'")
                .bind(digest.to_string())
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use typecase_model::ReleaseNumber;

    use super::*;
    use crate::testing::{TestStore, name};

    #[tokio::test]
    async fn a_thousand_publishes_leave_a_bounded_number_of_releases() {
        let test = TestStore::open().await;
        let file = test.folder.path().join("up");
        let app = name("hello");
        for number in 0..RELEASES_KEPT + 20 {
            let bytes = number.to_le_bytes();
            std::fs::write(&file, bytes).unwrap();
            test.store.put_bundle(Digest::of(&bytes), &file).await.unwrap();
            let candidacy = test.publish("hello", &bytes).await.unwrap();
            let (release, generation) = crate::testing::candidate(candidacy);
            match number {
                0 | 1 => assert!(test.store.activate(&app, release.number, generation).await.unwrap()),
                _ => assert!(test.store.abort(&app, release.number, generation, "").await.unwrap()),
            }
        }
        // An hour's grace protects what is being published right now.
        let collected = test.store.collect(3_600_000).await.unwrap();
        assert_eq!(collected, Collected { releases: 18, bundles: 0 });
        let collected = test.store.collect(0).await.unwrap();
        assert_eq!(collected, Collected { releases: 0, bundles: 18 });
        let kept = test.store.releases(&app, 1_000).await.unwrap();
        assert_eq!(kept.len(), RELEASES_KEPT as usize + 2, "the newest, the active, the one before");
        assert_eq!(test.store.previously_active(&app).await.unwrap(), Some(ReleaseNumber(1)));
        for release in &kept {
            test.store.bundles().fetch_to(release.digest, &file).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_bundle_that_is_being_deleted_is_not_published() {
        let test = TestStore::open().await;
        let file = test.folder.path().join("up");
        std::fs::write(&file, b"one").unwrap();
        let digest = Digest::of(b"one");
        test.store.put_bundle(digest, &file).await.unwrap();
        assert_eq!(test.store.mark_unused_bundles(0).await.unwrap(), HashSet::from([digest]));
        assert!(test.store.put_bundle(digest, &file).await.unwrap_err().may_be_retried());
        assert_eq!(test.store.collect(0).await.unwrap().bundles, 1);
        test.store.put_bundle(digest, &file).await.unwrap();
    }
}
