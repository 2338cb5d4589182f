//! Looking at apps, and changing which of their releases serves.

use typecase_model::{App, AppName, Generation, Principal, Receipt, Release, ReleaseNumber, Topic};
use typecase_store::Candidacy;

use super::{Control, ControlError};

/// Releases listed of one app: more than are kept.
const RELEASES_LISTED_MAX: u32 = 1_000;
/// An app with the releases its row names.
#[derive(Debug)]
pub struct AppDetails {
    pub app: App,
    pub active: Option<Release>,
    pub candidate: Option<Release>,
}

impl Control {
    pub async fn apps(&self) -> Result<Vec<App>, ControlError> {
        Ok(self.inner.store.list_apps().await?)
    }

    pub async fn app(&self, name: &AppName) -> Result<AppDetails, ControlError> {
        match self.inner.store.desired_of(name).await? {
            Some(found) => {
                Ok(AppDetails { app: found.app, active: found.active, candidate: found.candidate })
            }
            None => Err(typecase_store::StoreError::NotFound(format!("app `{name}`")).into()),
        }
    }

    pub async fn releases(&self, name: &AppName) -> Result<Vec<Release>, ControlError> {
        Ok(self.inner.store.releases(name, RELEASES_LISTED_MAX).await?)
    }

    pub async fn release(&self, name: &AppName, number: ReleaseNumber) -> Result<Release, ControlError> {
        Ok(self.inner.store.release(name, number).await?)
    }

    pub async fn receipts(
        &self,
        name: &AppName,
        number: ReleaseNumber,
    ) -> Result<Vec<Receipt>, ControlError> {
        let release = self.inner.store.release(name, number).await?;
        Ok(self.inner.store.receipts(name, release.number).await?)
    }

    /// Rolls an existing release out, newer or older than the active one.
    pub async fn activate(
        &self,
        name: &AppName,
        number: ReleaseNumber,
        expected: Option<Generation>,
        principal: &Principal,
    ) -> Result<Candidacy, ControlError> {
        let release = self.inner.store.release(name, number).await?;
        self.refuse_taken_hosts(name, &release.manifest).await?;
        self.require_config(name, &release.manifest).await?;
        let candidacy = self.inner.store.make_candidate(name, number, expected).await?;
        if matches!(candidacy, Candidacy::Candidate(..)) {
            tracing::info!(
                app.name = %name, release.number = %number, principal.name = %principal.name,
                "release is to be activated"
            );
            self.inner.announcements.announce(Topic::App(name.clone()));
        }
        Ok(candidacy)
    }

    /// Rolls back to a release, or to the one that served before the active one.
    pub async fn roll_back(
        &self,
        name: &AppName,
        to: Option<ReleaseNumber>,
        principal: &Principal,
    ) -> Result<Candidacy, ControlError> {
        let number = match to {
            Some(number) => number,
            None => self
                .inner
                .store
                .previously_active(name)
                .await?
                .ok_or_else(|| ControlError::NothingToRollBackTo { app: name.clone() })?,
        };
        self.activate(name, number, None, principal).await
    }

    /// Stops serving an app. Its releases stay and can be activated again.
    pub async fn withdraw(&self, name: &AppName, principal: &Principal) -> Result<App, ControlError> {
        let app = self.inner.store.withdraw(name).await?;
        tracing::info!(app.name = %name, principal.name = %principal.name, "app withdrawn");
        self.inner.announcements.announce(Topic::App(name.clone()));
        Ok(app)
    }
}
