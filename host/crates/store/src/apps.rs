//! The `apps` table: one row per app, whose generation every rollout compares and raises.

use typecase_model::{App, AppName, Generation, ReleaseNumber};

use crate::database::Connection;
use crate::sql::{Row, sql};
use crate::{Store, StoreError};

impl Store {
    /// All apps that have a release or a value in their config, by name.
    pub async fn list_apps(&self) -> Result<Vec<App>, StoreError> {
        self.within("list the apps", || async {
            let mut connection = self.database.single().await?;
            sql("SELECT name, generation, active, candidate, config_generation, created_unix_ms, updated_unix_ms
                 FROM apps
                 WHERE last_release > 0 OR name IN (SELECT app FROM app_config)
                 ORDER BY name")
            .fetch_all(&mut connection)
            .await?
            .iter()
            .map(app_of)
            .collect()
        })
        .await
    }

    pub async fn app(&self, name: &AppName) -> Result<App, StoreError> {
        self.within("read the app", || async {
            let mut connection = self.database.single().await?;
            find_app(&mut connection, name).await?.ok_or_else(|| StoreError::no_app(name))
        })
        .await
    }
}

pub(crate) async fn find_app(connection: &mut Connection, name: &AppName) -> Result<Option<App>, StoreError> {
    sql("SELECT name, generation, active, candidate, config_generation, created_unix_ms, updated_unix_ms
         FROM apps WHERE name = ?")
    .bind(name.as_str())
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(app_of)
    .transpose()
}

/// The app as it is, and nobody else changes it until the transaction ends. Whatever decides by an app's state
/// begins with this, which also keeps transactions about one app from meeting each other half-way.
pub(crate) async fn lock_app(connection: &mut Connection, name: &AppName) -> Result<Option<App>, StoreError> {
    sql("SELECT name, generation, active, candidate, config_generation, created_unix_ms, updated_unix_ms
         FROM apps WHERE name = ? {for update}")
    .bind(name.as_str())
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(app_of)
    .transpose()
}

pub(crate) fn app_of(row: &Row) -> Result<App, StoreError> {
    Ok(App {
        name: name_of(row, "name")?,
        generation: generation_of(row)?,
        active: number_of(row, "active")?,
        candidate: number_of(row, "candidate")?,
        config_generation: config_generation_of(row)?,
        created_unix_ms: row.try_get("created_unix_ms")?,
        updated_unix_ms: row.try_get("updated_unix_ms")?,
    })
}

pub(crate) fn generation_of(row: &Row) -> Result<Generation, StoreError> {
    let generation: i64 = row.try_get("generation")?;
    u64::try_from(generation)
        .map(Generation)
        .map_err(|_| StoreError::corrupt_row("an app's generation", generation))
}

pub(crate) fn config_generation_of(row: &Row) -> Result<Generation, StoreError> {
    let generation: i64 = row.try_get("config_generation")?;
    u64::try_from(generation)
        .map(Generation)
        .map_err(|_| StoreError::corrupt_row("apps.config_generation", generation))
}

pub(crate) fn name_of(row: &Row, column: &str) -> Result<AppName, StoreError> {
    let name: &str = row.try_get(column)?;
    name.parse().map_err(|error| StoreError::corrupt_row("an app's name", error))
}

pub(crate) fn number_of(row: &Row, column: &str) -> Result<Option<ReleaseNumber>, StoreError> {
    let number: Option<i64> = row.try_get(column)?;
    number
        .map(|number| {
            u32::try_from(number)
                .map(ReleaseNumber)
                .map_err(|_| StoreError::corrupt_row("a release number", number))
        })
        .transpose()
}
