//! How a rollout ends: each function is a compare-and-set on the app's generation, and says whether it won.
//!
//! Any node may call them at any time; of several that see the same situation exactly one makes the change.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::sqlite::SqliteConnection;
use typecase_model::{App, AppName, Generation, Node, Receipt, Release, ReleaseNumber};

use crate::apps::{app_of, find_app, generation_of, name_of};
use crate::database::now_unix_ms;
use crate::nodes::nodes_of;
use crate::receipts::receipts_of;
use crate::releases::{find_release, release_of};
use crate::{Store, StoreError};

/// What the cluster should be running of one app.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    pub app: App,
    pub active: Option<Release>,
    pub candidate: Option<Release>,
    /// Why a release of this app cannot be read here (damage, or written by a newer version). The field
    /// it belongs to is None then; a node keeps serving what it has.
    pub unreadable: Option<String>,
}

/// Everything the decision about a rollout needs, read in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    pub app: App,
    pub candidate: Release,
    pub candidate_since_unix_ms: i64,
    /// All nodes, lost ones too.
    pub nodes: Vec<Node>,
    pub receipts: Vec<Receipt>,
    /// The database's clock when all this was read.
    pub now_unix_ms: i64,
}

impl Store {
    /// What should run, for all apps; two queries however many apps there are.
    pub async fn desired(&self) -> Result<Vec<Desired>, StoreError> {
        self.within("read what should run", async {
            let mut tx = self.database.read().await?;
            let apps = sqlx::query("SELECT * FROM apps ORDER BY name")
                .fetch_all(&mut *tx)
                .await?;
            let rows = sqlx::query(
                "SELECT releases.* FROM releases
                 JOIN apps ON apps.name = releases.app
                      AND releases.release_number IN (apps.active, apps.candidate)",
            )
            .fetch_all(&mut *tx)
            .await?;
            let mut releases: HashMap<AppName, Vec<Result<Release, StoreError>>> = HashMap::new();
            for row in &rows {
                releases
                    .entry(name_of(row, "app")?)
                    .or_default()
                    .push(release_of(row));
            }
            apps.iter()
                .map(|row| {
                    let app = app_of(row)?;
                    let releases = releases.remove(&app.name).unwrap_or_default();
                    Ok(desired_of(app, releases))
                })
                .collect()
        })
        .await
    }

    /// What should run of one app; none when there is no such app.
    pub async fn desired_of(&self, name: &AppName) -> Result<Option<Desired>, StoreError> {
        self.within("read what should run", async {
            let mut tx = self.database.read().await?;
            let Some(app) = find_app(&mut tx, name).await? else {
                return Ok(None);
            };
            let mut releases = Vec::new();
            for number in [app.active, app.candidate].into_iter().flatten() {
                releases.push(
                    find_release(&mut tx, name, number).await.and_then(|found| {
                        found.ok_or_else(|| StoreError::no_release(name, number))
                    }),
                );
            }
            Ok(Some(desired_of(app, releases)))
        })
        .await
    }

    /// Each app's generation: the cheap way to see by timer which apps need another look.
    pub async fn generations(&self) -> Result<Vec<(AppName, Generation)>, StoreError> {
        self.within("read the generations", async {
            let mut connection = self.database.reader().await?;
            sqlx::query("SELECT name, generation FROM apps")
                .fetch_all(&mut *connection)
                .await?
                .iter()
                .map(|row| Ok((name_of(row, "name")?, generation_of(row)?)))
                .collect()
        })
        .await
    }

    /// The rollout that is under way for an app; none when it has no candidate or does not exist.
    pub async fn rollout(&self, name: &AppName) -> Result<Option<Rollout>, StoreError> {
        self.within("read the rollout", async {
            let mut tx = self.database.read().await?;
            let row = sqlx::query("SELECT * FROM apps WHERE name = ? AND candidate IS NOT NULL")
                .bind(name.as_str())
                .fetch_optional(&mut *tx)
                .await?;
            let Some(row) = row else { return Ok(None) };
            let app = app_of(&row)?;
            let since: Option<i64> = row.try_get("candidate_since_unix_ms")?;
            let Some(number) = app.candidate else {
                return Ok(None);
            };
            let candidate = find_release(&mut tx, name, number)
                .await?
                .ok_or_else(|| StoreError::no_release(name, number))?;
            let receipts = receipts_of(&mut tx, name, number).await?;
            let now_unix_ms = now_unix_ms(&mut tx).await?;
            let nodes = nodes_of(&mut tx, now_unix_ms).await?;
            Ok(Some(Rollout {
                candidate_since_unix_ms: since.unwrap_or(app.updated_unix_ms),
                app,
                candidate,
                nodes,
                receipts,
                now_unix_ms,
            }))
        })
        .await
    }

    /// Makes the candidate serve, provided that the app is still at `expected`.
    pub async fn activate(
        &self,
        app: &AppName,
        number: ReleaseNumber,
        expected: Generation,
    ) -> Result<bool, StoreError> {
        self.within("activate the release", async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            if !end_candidacy(&mut tx, app, number, expected, now).await? {
                return Ok(false);
            }
            retire_active(&mut tx, app).await?;
            sqlx::query("UPDATE apps SET active = ? WHERE name = ?")
                .bind(number.0)
                .bind(app.as_str())
                .execute(&mut *tx)
                .await?;
            sqlx::query(
                "UPDATE releases SET state = 'active', failure = NULL, activated_unix_ms = ?
                 WHERE app = ? AND release_number = ?",
            )
            .bind(now)
            .bind(app.as_str())
            .bind(number.0)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Ends the rollout of a release that was published without activation: it waits, prepared.
    pub async fn finish_prepared(
        &self,
        app: &AppName,
        number: ReleaseNumber,
        expected: Generation,
    ) -> Result<bool, StoreError> {
        self.within("finish the release", async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            if !end_candidacy(&mut tx, app, number, expected, now).await? {
                return Ok(false);
            }
            sqlx::query(
                "UPDATE releases SET state = 'prepared' WHERE app = ? AND release_number = ?",
            )
            .bind(app.as_str())
            .bind(number.0)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Gives the rollout up and notes why; the active release is not touched.
    pub async fn abort(
        &self,
        app: &AppName,
        number: ReleaseNumber,
        expected: Generation,
        failure: &str,
    ) -> Result<bool, StoreError> {
        self.within("abort the rollout", async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            if !end_candidacy(&mut tx, app, number, expected, now).await? {
                return Ok(false);
            }
            fail_release(&mut tx, app, number, failure).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Stops serving the app and gives up a rollout that is under way. Its releases stay.
    pub async fn withdraw(&self, name: &AppName) -> Result<App, StoreError> {
        self.within("withdraw the app", async {
            let mut tx = self.database.write().await?;
            let app = find_app(&mut tx, name)
                .await?
                .ok_or_else(|| StoreError::no_app(name))?;
            if app.active.is_none() && app.candidate.is_none() {
                return Ok(app);
            }
            if let Some(number) = app.candidate {
                fail_release(&mut tx, name, number, "the app was withdrawn").await?;
            }
            retire_active(&mut tx, name).await?;
            let now = now_unix_ms(&mut tx).await?;
            sqlx::query(
                "UPDATE apps SET active = NULL, candidate = NULL, candidate_since_unix_ms = NULL,
                                 generation = generation + 1, updated_unix_ms = ?
                 WHERE name = ?",
            )
            .bind(now)
            .bind(name.as_str())
            .execute(&mut *tx)
            .await?;
            let app = find_app(&mut tx, name)
                .await?
                .ok_or_else(|| StoreError::no_app(name))?;
            tx.commit().await?;
            Ok(app)
        })
        .await
    }
}

/// A generation as the tables hold it; one that no table can hold matches no row.
pub(crate) fn stored(generation: Generation) -> i64 {
    i64::try_from(generation.0).unwrap_or(-1)
}

/// Frees the place of the candidate, if it is this release at this generation still.
async fn end_candidacy(
    connection: &mut SqliteConnection,
    app: &AppName,
    number: ReleaseNumber,
    expected: Generation,
    now: i64,
) -> Result<bool, StoreError> {
    let changed = sqlx::query(
        "UPDATE apps SET candidate = NULL, candidate_since_unix_ms = NULL,
                         generation = generation + 1, updated_unix_ms = ?
         WHERE name = ? AND candidate = ? AND generation = ?",
    )
    .bind(now)
    .bind(app.as_str())
    .bind(number.0)
    .bind(stored(expected))
    .execute(connection)
    .await?
    .rows_affected();
    Ok(changed == 1)
}

async fn retire_active(connection: &mut SqliteConnection, app: &AppName) -> Result<(), StoreError> {
    sqlx::query("UPDATE releases SET state = 'retired' WHERE app = ? AND state = 'active'")
        .bind(app.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// A release that served before stays one that can be rolled back to, with a note of what went wrong.
async fn fail_release(
    connection: &mut SqliteConnection,
    app: &AppName,
    number: ReleaseNumber,
    failure: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE releases
         SET state = CASE WHEN activated_unix_ms IS NULL THEN 'failed' ELSE 'retired' END, failure = ?
         WHERE app = ? AND release_number = ?",
    )
    .bind(failure)
    .bind(app.as_str())
    .bind(number.0)
    .execute(connection)
    .await?;
    Ok(())
}

fn desired_of(app: App, releases: Vec<Result<Release, StoreError>>) -> Desired {
    let mut desired = Desired {
        app,
        active: None,
        candidate: None,
        unreadable: None,
    };
    for release in releases {
        match release {
            Ok(release) if Some(release.number) == desired.app.active => {
                desired.active = Some(release);
            }
            Ok(release) => desired.candidate = Some(release),
            Err(error) => desired.unreadable = Some(error.to_string()),
        }
    }
    desired
}

#[cfg(test)]
mod tests {
    use typecase_model::{NodeHealth, ReceiptState, ReleaseState};

    use super::*;
    use crate::releases::Candidacy;
    use crate::testing::{TestStore, candidate, name, publish, receipt};

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_several_nodes_exactly_one_activates() {
        let test = TestStore::open().await;
        test.release("hello", b"one").await;
        let (release, generation) = candidate(test.publish("hello", b"two").await.unwrap());
        let attempts: Vec<_> = (0..8)
            .map(|_| {
                let (store, app) = (test.store.clone(), release.app.clone());
                let number = release.number;
                tokio::spawn(async move { store.activate(&app, number, generation).await.unwrap() })
            })
            .collect();
        let mut winners = 0;
        for attempt in attempts {
            winners += u32::from(attempt.await.unwrap());
        }
        assert_eq!(winners, 1);
        let app = test.store.app(&release.app).await.unwrap();
        assert_eq!((app.active, app.candidate), (Some(release.number), None));
        assert_eq!(app.generation.0, generation.0 + 1);
        let states: Vec<_> = test
            .store
            .releases(&app.name, 10)
            .await
            .unwrap()
            .iter()
            .map(|r| r.state)
            .collect();
        assert_eq!(states, [ReleaseState::Active, ReleaseState::Retired]);
    }

    #[tokio::test]
    async fn roll_back_forth_and_give_up() {
        let test = TestStore::open().await;
        let app = name("hello");
        test.release("hello", b"one").await;
        test.release("hello", b"two").await;
        assert_eq!(
            test.store.previously_active(&app).await.unwrap(),
            Some(ReleaseNumber(1))
        );
        let (back, generation) = candidate(
            test.store
                .make_candidate(&app, ReleaseNumber(1), None)
                .await
                .unwrap(),
        );
        assert_eq!(back.state, ReleaseState::Preparing);
        assert!(
            test.store
                .abort(&app, back.number, generation, "node a: no")
                .await
                .unwrap()
        );
        // It served once, so it stays one to roll back to; the active release never changed.
        let back = test.store.release(&app, back.number).await.unwrap();
        assert_eq!(
            (back.state, back.failure.as_deref()),
            (ReleaseState::Retired, Some("node a: no"))
        );
        assert_eq!(
            test.store.app(&app).await.unwrap().active,
            Some(ReleaseNumber(2))
        );
        let same = test
            .store
            .make_candidate(&app, ReleaseNumber(2), None)
            .await
            .unwrap();
        assert!(matches!(same, Candidacy::AlreadyActive(..)));

        let (third, _) = candidate(test.publish("hello", b"three").await.unwrap());
        let gone = test.store.withdraw(&app).await.unwrap();
        assert_eq!((gone.active, gone.candidate), (None, None));
        assert_eq!(
            test.store.release(&app, third.number).await.unwrap().state,
            ReleaseState::Failed
        );
        assert_eq!(
            test.store.previously_active(&app).await.unwrap(),
            Some(ReleaseNumber(2))
        );
        // Withdrawing twice changes nothing.
        assert_eq!(test.store.withdraw(&app).await.unwrap(), gone);
    }

    #[tokio::test]
    async fn a_release_without_activation_waits_and_is_activated_later() {
        let test = TestStore::open().await;
        let (release, generation) =
            candidate(publish(&test.store, "hello", b"one", false).await.unwrap());
        let (app, number) = (release.app, release.number);
        assert!(
            test.store
                .finish_prepared(&app, number, generation)
                .await
                .unwrap()
        );
        let waiting = test.store.release(&app, number).await.unwrap();
        assert_eq!(
            (waiting.state, waiting.activate),
            (ReleaseState::Prepared, false)
        );
        let (release, generation) =
            candidate(test.store.make_candidate(&app, number, None).await.unwrap());
        assert!(release.activate);
        assert!(test.store.activate(&app, number, generation).await.unwrap());
    }

    #[tokio::test]
    async fn receipts_of_another_attempt_do_not_count() {
        let test = TestStore::open().await;
        let (release, generation) = candidate(test.publish("hello", b"one").await.unwrap());
        let app = release.app.clone();
        test.store
            .register_node(&"a".parse().unwrap(), "a", "", "1")
            .await
            .unwrap();
        let failed = receipt("hello", 1, "a", ReceiptState::Failed);
        assert!(test.store.put_receipt(&failed, generation).await.unwrap());
        let rollout = test.store.rollout(&app).await.unwrap().unwrap();
        assert_eq!(rollout.receipts[0].state, ReceiptState::Failed);
        assert_eq!(rollout.nodes[0].health, NodeHealth::Live);
        assert!(rollout.now_unix_ms >= rollout.candidate_since_unix_ms);

        assert!(
            test.store
                .abort(&app, release.number, generation, "no")
                .await
                .unwrap()
        );
        assert!(test.store.rollout(&app).await.unwrap().is_none());
        test.store
            .make_candidate(&app, release.number, None)
            .await
            .unwrap();
        assert!(!test.store.put_receipt(&failed, generation).await.unwrap());
        assert!(
            test.store
                .rollout(&app)
                .await
                .unwrap()
                .unwrap()
                .receipts
                .is_empty()
        );
    }

    #[tokio::test]
    async fn an_unreadable_release_does_not_hide_the_other_apps() {
        let test = TestStore::open().await;
        test.release("broken", b"one").await;
        test.release("fine", b"one").await;
        let mut tx = test.store.database.write().await.unwrap();
        sqlx::query("UPDATE releases SET manifest = '{\"new\":1}' WHERE app = 'broken'")
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let desired = test.store.desired().await.unwrap();
        assert!(desired[0].active.is_none() && desired[0].unreadable.is_some());
        assert!(desired[1].active.is_some() && desired[1].unreadable.is_none());
        assert_eq!(
            test.store.desired_of(&name("fine")).await.unwrap().as_ref(),
            Some(&desired[1])
        );
        assert_eq!(test.store.generations().await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_node_that_signs_off_is_lost_at_once() {
        let test = TestStore::open().await;
        let id = "a".parse().unwrap();
        assert!(!test.store.heartbeat(&id).await.unwrap());
        test.store
            .register_node(&id, "a", "127.0.0.1:1", "1")
            .await
            .unwrap();
        assert!(test.store.heartbeat(&id).await.unwrap());
        assert_eq!(test.store.live_nodes().await.unwrap().len(), 1);
        test.store.sign_off(&id).await.unwrap();
        assert!(test.store.live_nodes().await.unwrap().is_empty());
        assert_eq!(
            test.store.nodes().await.unwrap()[0].health,
            NodeHealth::Lost
        );
    }
}
