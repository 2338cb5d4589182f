//! How a release becomes an app's candidate: the start of every rollout, and where two at once are decided.

use typecase_model::{AppName, Digest, Generation, Manifest, Release, ReleaseNumber, ReleaseState};

use crate::apps::{lock_app, number_of};
use crate::database::Connection;
use crate::hosts::claim_hosts;
use crate::releases::{find_release, release_of};
use crate::rollouts::stored;
use crate::sql::{now_unix_ms, sql};
use crate::{Conflict, Store, StoreError};

/// A release to be: its bundle is in storage already.
#[derive(Debug)]
pub struct NewRelease<'a> {
    pub app: &'a AppName,
    pub digest: Digest,
    pub manifest: &'a Manifest,
    pub note: &'a str,
    pub publisher: &'a str,
    /// False: prepare on all nodes, then wait for somebody to activate it.
    pub activate: bool,
    /// The app's generation the publisher has seen; refused when it is another one by now.
    pub expected: Option<Generation>,
}

/// What came of the wish to roll a release out.
#[derive(Debug, Clone, PartialEq)]
pub enum Candidacy {
    /// The release is the app's candidate now; the app is at this generation.
    Candidate(Release, Generation),
    /// Nothing changed, because this very bundle or release serves already.
    AlreadyActive(Release, Generation),
}

impl Store {
    /// Records a release and makes it the app's candidate, all or nothing. Of two at once, one wins and the
    /// other gets [`StoreError::Conflict`]; a new app comes into being with its first release.
    pub async fn create_candidate(&self, new: &NewRelease<'_>) -> Result<Candidacy, StoreError> {
        let manifest = serde_json::to_string(new.manifest)
            .map_err(|error| StoreError::corrupt_row("the manifest to be stored", error))?;
        self.within("record the release", || async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            let name = new.app.as_str();
            if lock_app(&mut tx, new.app).await?.is_none() {
                sql("{insert new} apps (name, generation, last_release, created_unix_ms, updated_unix_ms)
                     VALUES (?, 0, 0, ?, ?)")
                .bind(name)
                .bind(now)
                .bind(now)
                .execute(&mut tx)
                .await?;
            }
            let generation = free_for_candidate(&mut tx, new.app, new.expected).await?;
            if let Some(active) = active_release(&mut tx, new.app).await?
                && active.digest == new.digest
            {
                return Ok(Candidacy::AlreadyActive(active, generation));
            }
            claim_hosts(&mut tx, new.app, new.manifest).await?;
            sql("UPDATE apps SET last_release = last_release + 1 WHERE name = ?")
                .bind(name)
                .execute(&mut tx)
                .await?;
            let row =
                sql("SELECT last_release FROM apps WHERE name = ?").bind(name).fetch_one(&mut tx).await?;
            let number = number_of(&row, "last_release")?
                .ok_or_else(|| StoreError::corrupt_row("apps.last_release", "NULL"))?;
            sql("INSERT INTO releases (app, release_number, digest, manifest, note, publisher,
                                       created_unix_ms, state, activate)
                 VALUES (?, ?, ?, ?, ?, ?, ?, 'preparing', ?)")
            .bind(name)
            .bind(number.0)
            .bind(new.digest.to_string())
            .bind(&manifest)
            .bind(new.note)
            .bind(new.publisher)
            .bind(now)
            .bind(i64::from(new.activate))
            .execute(&mut tx)
            .await?;
            let generation = set_candidate(&mut tx, new.app, number, generation, now).await?;
            let release = find_release(&mut tx, new.app, number)
                .await?
                .ok_or_else(|| StoreError::no_release(new.app, number))?;
            tx.commit().await?;
            Ok(Candidacy::Candidate(release, generation))
        })
        .await
    }

    /// Makes an existing release the candidate: to activate one that waits, to roll back, or to try a failed
    /// one again. It will be activated when all nodes are ready, whatever it was published with.
    pub async fn make_candidate(
        &self,
        app: &AppName,
        number: ReleaseNumber,
        expected: Option<Generation>,
    ) -> Result<Candidacy, StoreError> {
        self.within("make the release the candidate", || async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            let generation = free_for_candidate(&mut tx, app, expected).await?;
            let release = find_release(&mut tx, app, number)
                .await?
                .ok_or_else(|| StoreError::no_release(app, number))?;
            if release.state == ReleaseState::Active {
                return Ok(Candidacy::AlreadyActive(release, generation));
            }
            claim_hosts(&mut tx, app, &release.manifest).await?;
            // Receipts of an earlier attempt would decide this one before any node has looked at it.
            sql("DELETE FROM receipts WHERE app = ? AND release_number = ?")
                .bind(app.as_str())
                .bind(number.0)
                .execute(&mut tx)
                .await?;
            sql("UPDATE releases SET state = 'preparing', failure = NULL, activate = 1
                 WHERE app = ? AND release_number = ?")
            .bind(app.as_str())
            .bind(number.0)
            .execute(&mut tx)
            .await?;
            let generation = set_candidate(&mut tx, app, number, generation, now).await?;
            let release = find_release(&mut tx, app, number)
                .await?
                .ok_or_else(|| StoreError::no_release(app, number))?;
            tx.commit().await?;
            Ok(Candidacy::Candidate(release, generation))
        })
        .await
    }
}

/// The app's generation, provided that it is the expected one and no other rollout is under way.
async fn free_for_candidate(
    connection: &mut Connection,
    name: &AppName,
    expected: Option<Generation>,
) -> Result<Generation, StoreError> {
    let app = lock_app(connection, name).await?.ok_or_else(|| StoreError::no_app(name))?;
    let stale = expected.is_some_and(|expected| expected != app.generation);
    if stale || app.candidate.is_some() {
        let (found, candidate) = (app.generation, app.candidate);
        return Err(Conflict { app: app.name, expected, found, candidate }.into());
    }
    Ok(app.generation)
}

async fn set_candidate(
    connection: &mut Connection,
    app: &AppName,
    number: ReleaseNumber,
    from: Generation,
    now: i64,
) -> Result<Generation, StoreError> {
    let changed =
        sql("UPDATE apps SET candidate = ?, candidate_since_unix_ms = ?, generation = generation + 1,
                         updated_unix_ms = ?
         WHERE name = ? AND generation = ? AND candidate IS NULL")
        .bind(number.0)
        .bind(now)
        .bind(now)
        .bind(app.as_str())
        .bind(stored(from))
        .execute(connection)
        .await?;
    if changed != 1 {
        // The app was locked, so this is a generation that no table can hold; the transaction is rolled back.
        return Err(Conflict { app: app.clone(), expected: None, found: from, candidate: None }.into());
    }
    Ok(Generation(from.0 + 1))
}

async fn active_release(connection: &mut Connection, app: &AppName) -> Result<Option<Release>, StoreError> {
    sql("SELECT releases.* FROM releases
         JOIN apps ON apps.name = releases.app AND apps.active = releases.release_number
         WHERE apps.name = ?")
    .bind(app.as_str())
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(release_of)
    .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestStore, candidate, name, on_both_databases, publish};

    on_both_databases!(
        numbers_count_up_and_the_active_digest_is_not_published_again,
        a_rollout_under_way_refuses_another_and_names_both_generations,
        of_two_publishes_at_once_exactly_one_wins,
        everything_outlives_a_restart,
    );

    async fn numbers_count_up_and_the_active_digest_is_not_published_again(test: TestStore) {
        let (first, _) = test.release("hello", b"one").await;
        let (second, generation) = test.release("hello", b"two").await;
        assert_eq!((first.number.0, second.number.0, generation.0), (1, 2, 4));
        let again = test.publish("hello", b"two").await.unwrap();
        assert!(matches!(again, Candidacy::AlreadyActive(release, _) if release.number.0 == 2));
        assert_eq!(test.store.app(&name("hello")).await.unwrap().generation, generation);
        // The digest of a release that does not serve is a new release.
        let (third, _) = candidate(test.publish("hello", b"one").await.unwrap());
        assert_eq!(third.number.0, 3);
    }

    async fn a_rollout_under_way_refuses_another_and_names_both_generations(test: TestStore) {
        test.publish("hello", b"one").await.unwrap();
        let error = test.publish("hello", b"two").await.unwrap_err();
        let StoreError::Conflict(conflict) = error else { panic!("{error}") };
        assert_eq!(conflict.candidate, Some(ReleaseNumber(1)));
        assert_eq!(conflict.found, Generation(1));
        let error = test.store.make_candidate(&name("hello"), ReleaseNumber(1), Some(Generation(9))).await;
        let Err(StoreError::Conflict(conflict)) = error else { panic!("{error:?}") };
        assert_eq!(conflict.expected, Some(Generation(9)));
        assert_eq!(test.store.releases(&name("hello"), 10).await.unwrap().len(), 1);
    }

    async fn of_two_publishes_at_once_exactly_one_wins(test: TestStore) {
        for race in 0..100 {
            let racer = |side: u8| {
                let store = test.store.clone();
                tokio::spawn(async move { publish(&store, "hello", &[race, side], true).await })
            };
            let (one, two) = (racer(1), racer(2));
            let results = [one.await.unwrap(), two.await.unwrap()];
            let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
            assert_eq!((won.len(), lost.len()), (1, 1), "race {race}");
            assert!(matches!(lost[0], Err(StoreError::Conflict(_))), "{:?}", lost[0]);
            let (release, generation) = candidate(won.into_iter().next().unwrap().unwrap());
            assert_eq!(release.number.0, u32::from(race) + 1, "no number is lost or used twice");
            assert!(test.store.activate(&release.app, release.number, generation).await.unwrap());
        }
    }

    async fn everything_outlives_a_restart(test: TestStore) {
        test.release("hello", b"one").await;
        let (candidate, _) = candidate(test.publish("hello", b"two").await.unwrap());
        let test = test.reopen().await;
        let app = test.store.app(&name("hello")).await.unwrap();
        assert_eq!((app.active, app.candidate), (Some(ReleaseNumber(1)), Some(candidate.number)));
        assert_eq!(test.store.release(&app.name, candidate.number).await.unwrap(), candidate);
    }
}
