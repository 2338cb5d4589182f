//! The `app_config` table: the values that an operator set for an app. Secrets are sealed here, and opened for
//! whoever reads them, so that nobody above stores one in clear.
//!
//! `apps.config_generation` is raised by each change. It is another number than the app's generation, which
//! rollouts compare: setting a value disturbs none.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use typecase_model::app_config::{
    AppConfig, CONFIG_BYTES_MAX, CONFIG_VALUES_MAX, ConfigContent, ConfigName, ConfigValue,
};
use typecase_model::{AppName, Generation};

use crate::apps::{config_generation_of, name_of};
use crate::database::Connection;
use crate::sealed::Sealer;
use crate::sql::{Row, now_unix_ms, sql};
use crate::{Store, StoreError};

/// A change as it is asked for.
#[derive(Debug)]
pub struct ConfigChange<'a> {
    pub app: &'a AppName,
    /// The generation that it was made from; without it, whatever holds now.
    pub expected: Option<Generation>,
    pub set: &'a BTreeMap<ConfigName, NewConfigValue>,
    pub unset: &'a BTreeSet<ConfigName>,
    pub changed_by: &'a str,
}

/// A value that was asked for; what is a secret already stays one.
#[derive(Clone)]
pub struct NewConfigValue {
    pub text: String,
    pub secret: bool,
}

/// What came of a change: the generation that holds now, and what it changed; nothing if it was so already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChanged {
    pub generation: Generation,
    pub differences: Vec<ConfigDifference>,
}

/// One key that changed; never with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigDifference {
    pub name: ConfigName,
    /// False: it was taken out.
    pub is_set: bool,
    pub secret: bool,
}

impl Store {
    /// What is set for an app, secrets in clear: for the app's own instances, and for telling what is set.
    pub async fn app_config(&self, app: &AppName) -> Result<AppConfig, StoreError> {
        self.within("read the app's config", || async {
            let mut tx = self.database.read().await?;
            let row = sql("SELECT config_generation FROM apps WHERE name = ?")
                .bind(app.as_str())
                .fetch_optional(&mut tx)
                .await?
                .ok_or_else(|| StoreError::no_app(app))?;
            let generation = config_generation_of(&row)?;
            let values = values_of(&mut tx, &self.app_config_sealer, app).await?;
            Ok(AppConfig { app: app.clone(), generation, values })
        })
        .await
    }

    /// The same for all apps that serve and were ever configured; two queries however many they are.
    pub async fn app_configs(&self) -> Result<Vec<AppConfig>, StoreError> {
        self.within("read the apps' config", || async {
            let mut tx = self.database.read().await?;
            let apps = sql("SELECT name, config_generation FROM apps
                            WHERE active IS NOT NULL AND config_generation > 0")
            .fetch_all(&mut tx)
            .await?;
            let rows = sql("SELECT app_config.* FROM app_config
                            JOIN apps ON apps.name = app_config.app
                            WHERE apps.active IS NOT NULL")
            .fetch_all(&mut tx)
            .await?;
            let mut values: HashMap<AppName, BTreeMap<ConfigName, ConfigValue>> = HashMap::new();
            for row in &rows {
                let app = name_of(row, "app")?;
                let Some((name, value)) = value_of(row, &self.app_config_sealer, &app)? else { continue };
                values.entry(app).or_default().insert(name, value);
            }
            apps.iter()
                .map(|row| {
                    let app = name_of(row, "name")?;
                    let values = values.remove(&app).unwrap_or_default();
                    Ok(AppConfig { app, generation: config_generation_of(row)?, values })
                })
                .collect()
        })
        .await
    }

    /// Sets and takes out values, all or nothing; an app may be configured before its first release exists.
    pub async fn change_app_config(&self, change: &ConfigChange<'_>) -> Result<ConfigChanged, StoreError> {
        let ConfigChange { app, expected, set, unset, changed_by } = *change;
        self.within("change the app's config", || async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            let found = lock_config(&mut tx, app, now, !set.is_empty()).await?;
            if let Some(expected) = expected.filter(|expected| *expected != found) {
                return Err(StoreError::Outdated { what: "the app's values", expected, found });
            }
            let mut values = values_of(&mut tx, &self.app_config_sealer, app).await?;
            let mut differences = Vec::new();
            for name in unset {
                let Some(ConfigValue { secret, .. }) = values.remove(name) else { continue };
                delete(&mut tx, app, name).await?;
                differences.push(ConfigDifference { name: name.clone(), is_set: false, secret });
            }
            for (name, NewConfigValue { text, secret }) in set {
                let before = values.get(name);
                let secret = *secret || before.is_some_and(|value| value.secret);
                let content = ConfigContent::Text(text.clone());
                if before.is_some_and(|value| value.secret == secret && value.content == content) {
                    continue;
                }
                if before.is_some() {
                    delete(&mut tx, app, name).await?;
                }
                let stored = self.stored_text(app, name, text, secret)?;
                let value =
                    ConfigValue { content, secret, changed_by: changed_by.to_owned(), updated_unix_ms: now };
                insert(&mut tx, app, name, &stored, &value).await?;
                values.insert(name.clone(), value);
                differences.push(ConfigDifference { name: name.clone(), is_set: true, secret });
            }
            if differences.is_empty() {
                return Ok(ConfigChanged { generation: found, differences });
            }
            refuse_too_much(app, &values)?;
            sql("UPDATE apps SET config_generation = config_generation + 1 WHERE name = ?")
                .bind(app.as_str())
                .execute(&mut tx)
                .await?;
            // Reports of nodes that are forgotten.
            sql("DELETE FROM app_config_receipts WHERE app = ? AND node NOT IN (SELECT id FROM nodes)")
                .bind(app.as_str())
                .execute(&mut tx)
                .await?;
            tx.commit().await?;
            Ok(ConfigChanged { generation: Generation(found.0 + 1), differences })
        })
        .await
    }

    /// Makes secrets of values that were set before a manifest declared them secret. They stay the same values, so
    /// the generation does too. Returns the names of those that were not sealed until now.
    pub async fn seal_app_config(
        &self,
        app: &AppName,
        names: &BTreeSet<ConfigName>,
    ) -> Result<Vec<ConfigName>, StoreError> {
        self.within("seal the app's config", || async {
            let mut tx = self.database.write().await?;
            let now = now_unix_ms(&mut tx).await?;
            lock_config(&mut tx, app, now, false).await?;
            let mut sealed = Vec::new();
            for (name, mut value) in values_of(&mut tx, &self.app_config_sealer, app).await? {
                let ConfigContent::Text(text) = &value.content else { continue };
                if value.secret || !names.contains(&name) {
                    continue;
                }
                delete(&mut tx, app, &name).await?;
                let stored = self.stored_text(app, &name, text, true)?;
                value.secret = true;
                insert(&mut tx, app, &name, &stored, &value).await?;
                sealed.push(name);
            }
            tx.commit().await?;
            Ok(sealed)
        })
        .await
    }

    fn stored_text(
        &self,
        app: &AppName,
        name: &ConfigName,
        text: &str,
        secret: bool,
    ) -> Result<String, StoreError> {
        match secret {
            false => Ok(text.to_owned()),
            true => self.app_config_sealer.seal(&[app.as_str(), name.as_str()], text).map_err(|source| {
                StoreError::Unavailable { what: "seal the secret", part: "node", source: source.into() }
            }),
        }
    }
}

/// The config's generation, which nobody else raises until the transaction ends. Makes the app if it may.
async fn lock_config(
    connection: &mut Connection,
    app: &AppName,
    now: i64,
    may_make: bool,
) -> Result<Generation, StoreError> {
    const READ: &str = "SELECT config_generation FROM apps WHERE name = ? {for update}";
    if let Some(row) = sql(READ).bind(app.as_str()).fetch_optional(connection).await? {
        return config_generation_of(&row);
    }
    if !may_make {
        return Err(StoreError::no_app(app));
    }
    sql("{insert new} apps (name, generation, last_release, created_unix_ms, updated_unix_ms)
         VALUES (?, 0, 0, ?, ?)")
    .bind(app.as_str())
    .bind(now)
    .bind(now)
    .execute(connection)
    .await?;
    config_generation_of(&sql(READ).bind(app.as_str()).fetch_one(connection).await?)
}

async fn values_of(
    connection: &mut Connection,
    sealer: &Sealer,
    app: &AppName,
) -> Result<BTreeMap<ConfigName, ConfigValue>, StoreError> {
    sql("SELECT * FROM app_config WHERE app = ?")
        .bind(app.as_str())
        .fetch_all(connection)
        .await?
        .iter()
        .filter_map(|row| value_of(row, sealer, app).transpose())
        .collect()
}

/// None for a name that only a newer version knows: no manifest that is read here declares it.
fn value_of(
    row: &Row,
    sealer: &Sealer,
    app: &AppName,
) -> Result<Option<(ConfigName, ConfigValue)>, StoreError> {
    let (name, text): (&str, &str) = (row.try_get("name")?, row.try_get("value")?);
    let Ok(name) = name.parse::<ConfigName>() else { return Ok(None) };
    let secret = row.try_get::<i64>("secret")? != 0;
    let content = match secret {
        false => ConfigContent::Text(text.to_owned()),
        true => match sealer.open(&[app.as_str(), name.as_str()], text) {
            Ok(text) => ConfigContent::Text(text),
            Err(why) => ConfigContent::Unreadable(why.to_string()),
        },
    };
    let (changed_by, updated_unix_ms) = (row.try_get("changed_by")?, row.try_get("updated_unix_ms")?);
    Ok(Some((name, ConfigValue { content, secret, changed_by, updated_unix_ms })))
}

async fn delete(connection: &mut Connection, app: &AppName, name: &ConfigName) -> Result<(), StoreError> {
    sql("DELETE FROM app_config WHERE app = ? AND name = ?")
        .bind(app.as_str())
        .bind(name.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

async fn insert(
    connection: &mut Connection,
    app: &AppName,
    name: &ConfigName,
    stored: &str,
    value: &ConfigValue,
) -> Result<(), StoreError> {
    sql("INSERT INTO app_config (app, name, value, secret, changed_by, updated_unix_ms)
         VALUES (?, ?, ?, ?, ?, ?)")
    .bind(app.as_str())
    .bind(name.as_str())
    .bind(stored)
    .bind(i64::from(value.secret))
    .bind(value.changed_by.as_str())
    .bind(value.updated_unix_ms)
    .execute(connection)
    .await?;
    Ok(())
}

fn refuse_too_much(app: &AppName, values: &BTreeMap<ConfigName, ConfigValue>) -> Result<(), StoreError> {
    let size_bytes = |(name, value): (&ConfigName, &ConfigValue)| {
        let (ConfigContent::Text(text) | ConfigContent::Unreadable(text)) = &value.content;
        name.as_str().len() + text.len()
    };
    let bytes: usize = values.iter().map(size_bytes).sum();
    if values.len() > CONFIG_VALUES_MAX {
        let count = values.len();
        return Err(StoreError::TooMuch(format!(
            "`{app}` would have {count} values, the most is {CONFIG_VALUES_MAX}: unset what no release declares"
        )));
    }
    if bytes > CONFIG_BYTES_MAX {
        return Err(StoreError::TooMuch(format!(
            "the values of `{app}` would have {bytes} bytes together, the most is {CONFIG_BYTES_MAX}"
        )));
    }
    Ok(())
}

impl std::fmt::Debug for NewConfigValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewConfigValue").field("secret", &self.secret).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
