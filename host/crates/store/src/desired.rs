//! What reconcile converges to: for each app, the releases that should run.

use std::collections::HashMap;

use typecase_model::{App, AppName, Generation, Release};

use crate::apps::{app_of, config_generation_of, find_app, generation_of, name_of};
use crate::releases::{find_release, release_of};
use crate::sql::sql;
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

/// What tells whether anything about an app has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppGenerations {
    pub name: AppName,
    pub app: Generation,
    pub config: Generation,
}

impl Store {
    /// What should run, for all apps; two queries however many apps there are.
    pub async fn desired(&self) -> Result<Vec<Desired>, StoreError> {
        self.within("read what should run", || async {
            let mut tx = self.database.read().await?;
            let apps = sql("SELECT * FROM apps ORDER BY name").fetch_all(&mut tx).await?;
            let rows = sql("SELECT releases.* FROM releases
                 JOIN apps ON apps.name = releases.app
                      AND releases.release_number IN (apps.active, apps.candidate)")
            .fetch_all(&mut tx)
            .await?;
            let mut releases: HashMap<AppName, Vec<Result<Release, StoreError>>> = HashMap::new();
            for row in &rows {
                releases.entry(name_of(row, "app")?).or_default().push(release_of(row));
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
        self.within("read what should run", || async {
            let mut tx = self.database.read().await?;
            let Some(app) = find_app(&mut tx, name).await? else {
                return Ok(None);
            };
            let mut releases = Vec::new();
            for number in [app.active, app.candidate].into_iter().flatten() {
                let found = find_release(&mut tx, name, number).await;
                match found.and_then(|found| found.ok_or_else(|| StoreError::no_release(name, number))) {
                    // A connection that broke says nothing about the release.
                    Err(error) if error.may_be_retried() => return Err(error),
                    found => releases.push(found),
                }
            }
            Ok(Some(desired_of(app, releases)))
        })
        .await
    }

    /// Each app's generations: the cheap way to see by timer which apps need another look.
    pub async fn generations(&self) -> Result<Vec<AppGenerations>, StoreError> {
        self.within("read the generations", || async {
            let mut connection = self.database.single().await?;
            sql("SELECT name, generation, config_generation FROM apps")
                .fetch_all(&mut connection)
                .await?
                .iter()
                .map(|row| {
                    let (name, app) = (name_of(row, "name")?, generation_of(row)?);
                    Ok(AppGenerations { name, app, config: config_generation_of(row)? })
                })
                .collect()
        })
        .await
    }
}

fn desired_of(app: App, releases: Vec<Result<Release, StoreError>>) -> Desired {
    let mut desired = Desired { app, active: None, candidate: None, unreadable: None };
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
