//! The cluster's settings: reads the newest, makes them hold on this node, and says what became of them.

use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use typecase_cluster::Announcements;
use typecase_model::settings::{SettingsReceipt, SettingsState};
use typecase_model::{Generation, NodeId, Topic};
use typecase_store::{Store, StoreError};

use crate::settings::LiveSettings;

/// How often the generation is read again, announcements or not: one small query.
const TIMER: Duration = Duration::from_secs(2);

/// The task that keeps this node at the newest settings.
pub struct SettingsTask {
    store: Store,
    live: Arc<LiveSettings>,
    node: NodeId,
    /// The newest receipt that was written.
    told: Option<SettingsReceipt>,
    /// The last generation that was older than the one that holds here.
    went_back_to: Option<Generation>,
}

impl SettingsTask {
    pub fn new(store: Store, live: Arc<LiveSettings>, node: NodeId) -> Self {
        Self { store, live, node, told: None, went_back_to: None }
    }

    /// Follows announcements and the timer until the node ends.
    pub async fn run(mut self, announcements: Announcements) {
        let mut announcements = announcements.subscribe();
        let mut timer = tokio::time::interval(TIMER);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let topic = tokio::select! {
                topic = announcements.next() => topic,
                _ = timer.tick() => Topic::Settings,
            };
            if matches!(topic, Topic::Settings | Topic::All)
                && let Err(error) = self.look().await
            {
                tracing::warn!("the settings are not up to date, trying again: {error}");
            }
        }
    }

    /// One look. What held before holds on when it fails.
    pub async fn look(&mut self) -> Result<(), StoreError> {
        let newest = self.store.settings_generation().await?;
        let (applied, told) = (self.live.load().generation, self.told.as_ref().map(|told| told.generation));
        if applied > Some(newest) {
            return self.refuse_older(newest, applied);
        }
        if applied == Some(newest) && told == applied {
            return Ok(());
        }
        let receipt = self.apply_newest(newest).await?;
        if self.told.as_ref() != Some(&receipt) {
            self.store.put_settings_receipt(&receipt).await?;
            self.told = Some(receipt);
        }
        Ok(())
    }

    async fn apply_newest(&self, newest: Generation) -> Result<SettingsReceipt, StoreError> {
        let (generation, result) = match self.store.settings().await {
            Ok(revision) => (revision.generation, self.live.apply(revision.generation, revision.settings)),
            Err(error @ StoreError::Corrupt { .. }) => (newest, Err(error.to_string())),
            Err(error) => return Err(error),
        };
        let (state, detail, ignored) = match result {
            Ok(misfits) if misfits.is_empty() => {
                tracing::info!(settings.generation = %generation, "settings applied");
                (SettingsState::Applied, None, Vec::new())
            }
            Ok(misfits) => {
                let whys: Vec<&str> = misfits.iter().map(|misfit| &*misfit.why).collect();
                let detail = whys.join("\n");
                tracing::warn!(settings.generation = %generation, "settings applied, but for: {detail}");
                (SettingsState::Applied, Some(detail), misfits.into_iter().map(|misfit| misfit.key).collect())
            }
            Err(why) => {
                tracing::error!(settings.generation = %generation, "the settings cannot be applied: {why}");
                (SettingsState::Failed, Some(why), Vec::new())
            }
        };
        gauge!("typecase_settings_generation").set(self.live.load().generation.unwrap_or_default().0 as f64);
        // The store writes the database's time.
        Ok(SettingsReceipt { node: self.node.clone(), generation, state, detail, ignored, at_unix_ms: 0 })
    }

    /// A database that went back in time, by a fail-over or a restored backup, changes nothing here.
    fn refuse_older(&mut self, newest: Generation, applied: Option<Generation>) -> Result<(), StoreError> {
        if self.went_back_to.replace(newest) != Some(newest) {
            let applied = applied.unwrap_or_default();
            tracing::error!(
                "the database has generation {newest} of the settings, this node applied {applied} already and keeps it; restart the node to take the older one"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use typecase_model::Settings;
    use typecase_store::{ClusterSecret, NewSettings};

    use super::*;
    use crate::config::{Config, Sources};
    use crate::settings::LogLevel;

    async fn change(store: &Store, expected: u64, document: serde_json::Value) {
        let settings = Settings::parse(&document.to_string()).unwrap();
        let expected = Generation(expected);
        let new = NewSettings { expected, settings: &settings, changed_by: "admin", note: "" };
        store.change_settings(&new).await.unwrap();
    }

    #[tokio::test]
    async fn the_newest_settings_hold_and_what_became_of_them_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let secret = ClusterSecret::new(&"secret ".repeat(8)).unwrap();
        let store = Store::open_sqlite(&folder.path().join("db"), folder.path(), &secret).await.unwrap();
        let config = Config::load(Sources::default()).unwrap();
        let live = Arc::new(LiveSettings::new(&config, LogLevel::fixed()));
        let mut task = SettingsTask::new(store.clone(), live.clone(), "node-1".parse().unwrap());
        let receipt = async || store.settings_receipts().await.unwrap().remove(0);

        task.look().await.unwrap();
        assert_eq!(
            (receipt().await.generation, live.load().generation),
            (Generation(0), Some(Generation(0)))
        );

        change(&store, 0, json!({ "drain.delay_ms": 5 })).await;
        change(&store, 1, json!({ "drain.delay_ms": 6, "drain.colour": "blue" })).await;
        task.look().await.unwrap();
        assert_eq!(live.load().effective.drain.delay_ms, 6);
        let told = receipt().await;
        assert_eq!((told.generation, told.state), (Generation(2), SettingsState::Applied));
        assert_eq!(
            (&*told.ignored, told.detail.unwrap()),
            (&["drain.colour".to_owned()][..], "drain.colour: this version does not know the key".to_owned())
        );

        // Nothing new: nothing is written.
        let before = receipt().await;
        task.look().await.unwrap();
        assert_eq!(receipt().await, before);

        // The database is gone: what held holds.
        store.close().await;
        assert!(task.look().await.is_err());
        assert_eq!(live.load().effective.drain.delay_ms, 6);
    }

    #[tokio::test]
    async fn an_older_generation_is_never_applied() {
        let folder = tempfile::tempdir().unwrap();
        let secret = ClusterSecret::new(&"secret ".repeat(8)).unwrap();
        let store = Store::open_sqlite(&folder.path().join("db"), folder.path(), &secret).await.unwrap();
        let live = LiveSettings::for_test(json!({ "drain.delay_ms": 7 }));
        let mut task = SettingsTask::new(store.clone(), live.clone(), "node-1".parse().unwrap());
        task.look().await.unwrap();
        assert_eq!((live.load().effective.drain.delay_ms, live.load().generation), (7, Some(Generation(1))));
        assert_eq!(store.settings_receipts().await.unwrap(), []);
    }
}
