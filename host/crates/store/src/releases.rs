//! The `releases` table: immutable records of what was published.

use typecase_model::{AppName, Release, ReleaseNumber, ReleaseState};

use crate::apps::{find_app, name_of, number_of};
use crate::database::Connection;
use crate::sql::{Row, sql};
use crate::{Store, StoreError};

impl Store {
    /// The newest `count_max` releases of an app, newest first.
    pub async fn releases(&self, app: &AppName, count_max: u32) -> Result<Vec<Release>, StoreError> {
        self.within("list the releases", || async {
            let mut tx = self.database.read().await?;
            if find_app(&mut tx, app).await?.is_none() {
                return Err(StoreError::no_app(app));
            }
            sql("SELECT * FROM releases WHERE app = ? ORDER BY release_number DESC LIMIT ?")
                .bind(app.as_str())
                .bind(count_max)
                .fetch_all(&mut tx)
                .await?
                .iter()
                .map(release_of)
                .collect()
        })
        .await
    }

    pub async fn release(&self, app: &AppName, number: ReleaseNumber) -> Result<Release, StoreError> {
        self.within("read the release", || async {
            let mut connection = self.database.single().await?;
            find_release(&mut connection, app, number)
                .await?
                .ok_or_else(|| StoreError::no_release(app, number))
        })
        .await
    }

    /// The release that served last before the active one, or last of all when none is active: where a roll
    /// back without a number goes.
    pub async fn previously_active(&self, app: &AppName) -> Result<Option<ReleaseNumber>, StoreError> {
        self.within("find the release to roll back to", || async {
            let mut tx = self.database.read().await?;
            if find_app(&mut tx, app).await?.is_none() {
                return Err(StoreError::no_app(app));
            }
            let row = sql("SELECT release_number FROM releases WHERE app = ? AND state = 'retired'
                 ORDER BY activated_generation DESC, activated_unix_ms DESC, release_number DESC LIMIT 1")
            .bind(app.as_str())
            .fetch_optional(&mut tx)
            .await?;
            match row {
                Some(row) => number_of(&row, "release_number"),
                None => Ok(None),
            }
        })
        .await
    }
}

pub(crate) async fn find_release(
    connection: &mut Connection,
    app: &AppName,
    number: ReleaseNumber,
) -> Result<Option<Release>, StoreError> {
    sql("SELECT * FROM releases WHERE app = ? AND release_number = ?")
        .bind(app.as_str())
        .bind(number.0)
        .fetch_optional(connection)
        .await?
        .as_ref()
        .map(release_of)
        .transpose()
}

pub(crate) fn release_of(row: &Row) -> Result<Release, StoreError> {
    let app = name_of(row, "app")?;
    let number = number_of(row, "release_number")?
        .ok_or_else(|| StoreError::corrupt_row("releases.release_number", "NULL"))?;
    let corrupt = |column: &str, detail: &dyn ToString| {
        StoreError::corrupt_row(format!("release {number} of `{app}` ({column})"), detail.to_string())
    };
    let digest: &str = row.try_get("digest")?;
    let manifest: &str = row.try_get("manifest")?;
    let state: &str = row.try_get("state")?;
    Ok(Release {
        digest: digest.parse().map_err(|error| corrupt("digest", &error))?,
        manifest: serde_json::from_str(manifest).map_err(|error| corrupt("manifest", &error))?,
        note: row.try_get("note")?,
        publisher: row.try_get("publisher")?,
        created_unix_ms: row.try_get("created_unix_ms")?,
        state: ReleaseState::parse(state).ok_or_else(|| corrupt("state", &state))?,
        failure: row.try_get("failure")?,
        activate: row.try_get::<i64>("activate")? != 0,
        activated_unix_ms: row.try_get("activated_unix_ms")?,
        app,
        number,
    })
}
