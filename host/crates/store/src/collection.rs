//! The `bundles` table, and what is thrown away: old releases, and bundles no release refers to.
//!
//! A bundle is noted here before it is stored, so nothing stored is ever unknown; and it is marked before it
//! is deleted, so a publish that brings it back at that very moment is told to try again.

use std::collections::HashSet;
use std::path::Path;

use typecase_model::settings::Retention;
use typecase_model::{Digest, NodeId, ReleaseState};

use crate::sql::{Row, now_unix_ms, sql};
use crate::{Store, StoreError};

/// No deletion takes so long: the node that marked the bundle died, and another one may delete it. Until then
/// nobody else does, so that a bundle which came back meanwhile is not deleted by a latecomer.
const DELETION_MS_MAX: i64 = 600_000;

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

    /// Removes the releases of each app that are too many or too old, then the bundles that no release refers to
    /// and nobody has published for `unused_ms`. What serves, is rolled out or would be rolled back to always stays.
    pub async fn collect(
        &self,
        node: &NodeId,
        retention: &Retention,
        unused_ms: i64,
    ) -> Result<Collected, StoreError> {
        let releases = self.remove_old_releases(retention).await?;
        let mut bundles = 0;
        for digest in self.mark_unused_bundles(node, unused_ms).await? {
            self.bundles.delete(digest).await?;
            self.forget_bundle(node, digest).await?;
            bundles += 1;
        }
        Ok(Collected { releases, bundles })
    }

    async fn note_bundle(&self, digest: Digest) -> Result<(), StoreError> {
        self.within("note the bundle", || async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            sql("{insert new} bundles (digest, state, touched_unix_ms) VALUES (?, 'stored', ?)")
                .bind(digest.to_string())
                .bind(now)
                .execute(&mut tx)
                .await?;
            let noted = sql("UPDATE bundles SET touched_unix_ms = ?, state = 'stored'
                     WHERE digest = ? AND state IN ('stored', 'damaged')")
            .bind(now)
            .bind(digest.to_string())
            .execute(&mut tx)
            .await?;
            if noted == 0 {
                let source = "its unused copy is being deleted right now; try again";
                return Err(StoreError::storage("store the bundle", source));
            }
            tx.commit().await
        })
        .await
    }

    async fn remove_old_releases(&self, retention: &Retention) -> Result<u64, StoreError> {
        let mut removed = 0;
        let apps = self.within("find old releases", || async {
            let mut connection = self.database.single().await?;
            let now = now_unix_ms(&mut connection).await?;
            sql("SELECT apps.name AS name FROM apps JOIN releases ON releases.app = apps.name
                 GROUP BY apps.name HAVING COUNT(*) > ? OR MIN(releases.created_unix_ms) < ?")
            .bind(retention.releases)
            .bind(retention.oldest_unix_ms(now))
            .fetch_all(&mut connection)
            .await?
            .iter()
            .map(|row| crate::apps::name_of(row, "name"))
            .collect::<Result<Vec<_>, _>>()
        });
        for app in apps.await? {
            removed += self
                .within("remove old releases", || async {
                    let mut tx = self.database.write().await?;
                    // Whoever makes a release a candidate changes this row first.
                    sql("SELECT name FROM apps WHERE name = ? {for update}")
                        .bind(app.as_str())
                        .fetch_optional(&mut tx)
                        .await?;
                    let now = now_unix_ms(&mut tx).await?;
                    let releases: Vec<Kept> = sql("SELECT release_number, state, created_unix_ms,
                                activated_unix_ms, activated_generation
                         FROM releases WHERE app = ? ORDER BY release_number DESC")
                    .bind(app.as_str())
                    .fetch_all(&mut tx)
                    .await?
                    .iter()
                    .map(Kept::of)
                    .collect::<Result<_, _>>()?;
                    let old = old_releases(&releases, retention, now);
                    for number in &old {
                        sql("DELETE FROM releases WHERE app = ? AND release_number = ?")
                            .bind(app.as_str())
                            .bind(*number)
                            .execute(&mut tx)
                            .await?;
                    }
                    tx.commit().await?;
                    Ok(old.len() as u64)
                })
                .await?;
        }
        Ok(removed)
    }

    /// Marks unused bundles as this node's to delete, with those that a node marked long ago and died over.
    async fn mark_unused_bundles(
        &self,
        node: &NodeId,
        unused_ms: i64,
    ) -> Result<HashSet<Digest>, StoreError> {
        self.within("find unused bundles", || async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            sql("UPDATE bundles SET state = 'deleting', collector = ?, touched_unix_ms = ?
                 WHERE (state IN ('stored', 'damaged') AND touched_unix_ms <= ?
                        AND NOT EXISTS (SELECT 1 FROM releases WHERE releases.digest = bundles.digest))
                    OR (state = 'deleting' AND touched_unix_ms <= ?)")
            .bind(node.as_str())
            .bind(now)
            .bind(now.saturating_sub(unused_ms))
            .bind(now - DELETION_MS_MAX)
            .execute(&mut tx)
            .await?;
            let rows = sql("SELECT digest FROM bundles WHERE state = 'deleting' AND collector = ?")
                .bind(node.as_str())
                .fetch_all(&mut tx)
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

    async fn forget_bundle(&self, node: &NodeId, digest: Digest) -> Result<(), StoreError> {
        self.within("forget the bundle", || async {
            let mut connection = self.database.single().await?;
            sql("DELETE FROM bundles WHERE digest = ? AND state = 'deleting' AND collector = ?")
                .bind(digest.to_string())
                .bind(node.as_str())
                .execute(&mut connection)
                .await?;
            Ok(())
        })
        .await
    }
}

/// A release, as far as the decision about it goes.
#[derive(Debug, Clone, Copy)]
struct Kept {
    number: i64,
    state: Option<ReleaseState>,
    created_unix_ms: i64,
    activated_unix_ms: Option<i64>,
    activated_generation: Option<i64>,
}

impl Kept {
    fn of(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            number: row.try_get("release_number")?,
            state: ReleaseState::parse(row.try_get("state")?),
            created_unix_ms: row.try_get("created_unix_ms")?,
            activated_unix_ms: row.try_get("activated_unix_ms")?,
            activated_generation: row.try_get("activated_generation")?,
        })
    }
}

/// The numbers of those releases of one app that go; `releases` has the newest first.
fn old_releases(releases: &[Kept], retention: &Retention, now_unix_ms: i64) -> Vec<i64> {
    let retired = releases.iter().filter(|release| release.state == Some(ReleaseState::Retired));
    let previous = retired.filter_map(|release| Some((release.activated_generation?, release.number))).max();
    // A release serves until the next one is activated.
    let unused_since = |release: &Kept| {
        let next = releases.iter().filter(|next| next.activated_generation > release.activated_generation);
        let next = next.min_by_key(|next| next.activated_generation);
        match release.activated_generation {
            Some(_) => next.and_then(|next| next.activated_unix_ms).unwrap_or(now_unix_ms),
            None => release.activated_unix_ms.unwrap_or(release.created_unix_ms),
        }
    };
    let goes = |(index, release): &(usize, &Kept)| {
        // A state that this version does not know is not its to judge.
        let in_use = matches!(release.state, None | Some(ReleaseState::Active | ReleaseState::Preparing));
        let is_previous = previous.is_some_and(|(_, number)| number == release.number);
        let too_many = *index >= retention.releases as usize;
        let too_old = unused_since(release) < retention.oldest_unix_ms(now_unix_ms);
        (too_many || too_old) && !in_use && !is_previous
    };
    releases.iter().enumerate().filter(goes).map(|(_, release)| release.number).collect()
}

#[cfg(test)]
mod tests {
    use typecase_model::ReleaseNumber;

    use super::*;
    use crate::testing::{TestStore, name, on_both_databases};

    on_both_databases!(
        a_thousand_publishes_leave_a_bounded_number_of_releases,
        a_bundle_that_is_being_deleted_is_not_published,
    );

    const RELEASES_KEPT: u32 = 50;
    const RETENTION: Retention = Retention { releases: RELEASES_KEPT, age_ms: None };

    fn node() -> NodeId {
        "a".parse().unwrap()
    }

    /// One release of each letter, newest first, a millisecond apart: (A)ctive, (R)etired, (F)ailed, (C)andidate.
    fn releases(states: &str) -> Vec<Kept> {
        let count = states.len() as i64;
        let release = |(index, letter)| {
            let number = count - index as i64;
            let state = match letter {
                'A' => ReleaseState::Active,
                'R' => ReleaseState::Retired,
                'F' => ReleaseState::Failed,
                _ => ReleaseState::Preparing,
            };
            let activated = matches!(letter, 'A' | 'R').then_some(number);
            Kept {
                number,
                state: Some(state),
                created_unix_ms: number,
                activated_unix_ms: activated,
                activated_generation: activated,
            }
        };
        states.chars().enumerate().map(release).collect()
    }

    #[test]
    fn releases_go_when_they_are_too_many_or_too_old() {
        for (states, kept, age_ms, expected) in [
            ("ARRRR", 3, None, &[2, 1][..]),
            ("ARRRR", 10, None, &[]),
            // The active, the candidate and the one to roll back to stay, wherever they are.
            ("CFFFARFR", 2, None, &[6, 5, 2, 1]),
            ("FFFFA", 1, None, &[4, 3, 2]),
            // At 5: 3 served until 4 came, 2 until 3 came, the failed one was made at 1.
            ("ARRRF", 10, Some(1), &[2, 1]),
            ("ARRRF", 10, Some(2), &[1]),
            ("ARRRF", 10, Some(9), &[]),
        ] {
            let retention = Retention { releases: kept, age_ms };
            assert_eq!(
                old_releases(&releases(states), &retention, 5),
                expected,
                "{states} {kept} {age_ms:?}"
            );
        }
    }

    async fn a_thousand_publishes_leave_a_bounded_number_of_releases(test: TestStore) {
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
        let collected = test.store.collect(&node(), &RETENTION, 3_600_000).await.unwrap();
        assert_eq!(collected, Collected { releases: 18, bundles: 0 });
        let collected = test.store.collect(&node(), &RETENTION, 0).await.unwrap();
        assert_eq!(collected, Collected { releases: 0, bundles: 18 });
        let kept = test.store.releases(&app, 1_000).await.unwrap();
        assert_eq!(kept.len(), RELEASES_KEPT as usize + 2, "the newest, the active, the one before");
        assert_eq!(test.store.previously_active(&app).await.unwrap(), Some(ReleaseNumber(1)));
        for release in &kept {
            test.store.bundles().fetch_to(release.digest, &file).await.unwrap();
        }
    }

    async fn a_bundle_that_is_being_deleted_is_not_published(test: TestStore) {
        let file = test.folder.path().join("up");
        std::fs::write(&file, b"one").unwrap();
        let digest = Digest::of(b"one");
        test.store.put_bundle(digest, &file).await.unwrap();
        assert_eq!(test.store.mark_unused_bundles(&node(), 0).await.unwrap(), HashSet::from([digest]));
        assert!(test.store.put_bundle(digest, &file).await.unwrap_err().may_be_retried());
        assert_eq!(test.store.collect(&node(), &RETENTION, 0).await.unwrap().bundles, 1);
        test.store.put_bundle(digest, &file).await.unwrap();
    }
}
