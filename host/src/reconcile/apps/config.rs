//! An app's config, beside the passes over the app: one of those may be compiling a candidate for minutes.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use typecase_model::{App, AppName};
use typecase_store::StoreError;

use super::Inner;

impl Inner {
    /// Brings an app's releases to its newest config while a pass is busy. One look at a time, and one more when
    /// something was announced meanwhile.
    pub(super) fn look_at_config(self: &Arc<Self>, app: AppName) {
        match self.state().configuring.entry(app.clone()) {
            Entry::Occupied(mut again) => {
                again.insert(true);
                return;
            }
            Entry::Vacant(free) => drop(free.insert(false)),
        }
        let inner = self.clone();
        tokio::spawn(async move {
            loop {
                if let Err(error) = inner.follow_config(&app).await {
                    tracing::warn!(app.name = %app, "the app's config is not up to date, trying again: {error}");
                }
                let mut state = inner.state();
                match state.configuring.get_mut(&app) {
                    Some(again) if *again => *again = false,
                    _ => {
                        state.configuring.remove(&app);
                        return;
                    }
                }
            }
        });
    }

    async fn follow_config(&self, app: &AppName) -> Result<(), StoreError> {
        let app = self.store.app(app).await?;
        self.preparer.configs().follow(&app).await?;
        self.tell_config(&app).await
    }

    /// Writes the receipt for the config that the serving release has, unless that is done.
    pub(super) async fn tell_config(&self, app: &App) -> Result<(), StoreError> {
        let serving = {
            let state = self.state();
            state.apps.get(&app.name).and_then(|local| Some(local.serving.as_ref()?.release.number))
        };
        self.preparer.configs().tell(app, serving, &self.node).await
    }
}
