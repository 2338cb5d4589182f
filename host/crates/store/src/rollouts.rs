//! How a rollout ends: each function is a compare-and-set on the app's generation, and says whether it won.
//!
//! Any node may call them at any time; of several that see the same situation exactly one makes the change.

use typecase_model::{App, AppName, Generation, Node, Receipt, Release, ReleaseNumber};

use crate::apps::{app_of, find_app, lock_app};
use crate::database::Connection;
use crate::nodes::nodes_of;
use crate::receipts::{receipts_of, shortened};
use crate::releases::find_release;
use crate::sql::{now_unix_ms, sql};
use crate::{Store, StoreError};

/// Reports of many nodes may be one text; the receipts hold them all.
const FAILURE_BYTES_MAX: usize = 16 * 1024;

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
    /// The rollout that is under way for an app; none when it has no candidate or does not exist.
    pub async fn rollout(&self, name: &AppName) -> Result<Option<Rollout>, StoreError> {
        self.within("read the rollout", || async {
            let mut tx = self.database.read().await?;
            let row = sql("SELECT * FROM apps WHERE name = ? AND candidate IS NOT NULL")
                .bind(name.as_str())
                .fetch_optional(&mut tx)
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
        self.within("activate the release", || async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            if !end_candidacy(&mut tx, app, number, expected, now).await? {
                return Ok(false);
            }
            retire_active(&mut tx, app).await?;
            sql("UPDATE apps SET active = ? WHERE name = ?")
                .bind(number.0)
                .bind(app.as_str())
                .execute(&mut tx)
                .await?;
            sql("UPDATE releases
                 SET state = 'active', failure = NULL, activated_unix_ms = ?, activated_generation = ?
                 WHERE app = ? AND release_number = ?")
            .bind(now)
            .bind(stored(Generation(expected.0 + 1)))
            .bind(app.as_str())
            .bind(number.0)
            .execute(&mut tx)
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
        self.within("finish the release", || async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            if !end_candidacy(&mut tx, app, number, expected, now).await? {
                return Ok(false);
            }
            sql("UPDATE releases SET state = 'prepared' WHERE app = ? AND release_number = ?")
                .bind(app.as_str())
                .bind(number.0)
                .execute(&mut tx)
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
        self.within("abort the rollout", || async {
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
        self.within("withdraw the app", || async {
            let mut tx = self.database.write().await?;
            let app = lock_app(&mut tx, name).await?.ok_or_else(|| StoreError::no_app(name))?;
            if app.active.is_none() && app.candidate.is_none() {
                return Ok(app);
            }
            if let Some(number) = app.candidate {
                fail_release(&mut tx, name, number, "the app was withdrawn").await?;
            }
            retire_active(&mut tx, name).await?;
            let now = now_unix_ms(&mut tx).await?;
            sql("UPDATE apps SET active = NULL, candidate = NULL, candidate_since_unix_ms = NULL,
                                 generation = generation + 1, updated_unix_ms = ?
                 WHERE name = ?")
            .bind(now)
            .bind(name.as_str())
            .execute(&mut tx)
            .await?;
            let app = find_app(&mut tx, name).await?.ok_or_else(|| StoreError::no_app(name))?;
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
    connection: &mut Connection,
    app: &AppName,
    number: ReleaseNumber,
    expected: Generation,
    now: i64,
) -> Result<bool, StoreError> {
    let changed = sql("UPDATE apps SET candidate = NULL, candidate_since_unix_ms = NULL,
                         generation = generation + 1, updated_unix_ms = ?
         WHERE name = ? AND candidate = ? AND generation = ?")
    .bind(now)
    .bind(app.as_str())
    .bind(number.0)
    .bind(stored(expected))
    .execute(connection)
    .await?;
    Ok(changed == 1)
}

async fn retire_active(connection: &mut Connection, app: &AppName) -> Result<(), StoreError> {
    sql("UPDATE releases SET state = 'retired' WHERE app = ? AND state = 'active'")
        .bind(app.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// A release that served before stays one that can be rolled back to, with a note of what went wrong.
async fn fail_release(
    connection: &mut Connection,
    app: &AppName,
    number: ReleaseNumber,
    failure: &str,
) -> Result<(), StoreError> {
    sql("UPDATE releases
         SET state = CASE WHEN activated_unix_ms IS NULL THEN 'failed' ELSE 'retired' END, failure = ?
         WHERE app = ? AND release_number = ?")
    .bind(shortened(failure, FAILURE_BYTES_MAX))
    .bind(app.as_str())
    .bind(number.0)
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
