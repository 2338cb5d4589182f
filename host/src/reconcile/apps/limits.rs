//! New limits for apps that run, without a publish and without a lost request.

use typecase_model::Release;

use super::Inner;
use crate::ingress::LiveRelease;

impl Inner {
    /// Has every app looked at again, whatever its generation.
    pub(super) fn unsettle(&self) {
        self.state().apps.values_mut().for_each(|local| local.settled = None);
    }

    /// Loads what serves again when other limits hold for it now. Requests in flight end under the old ones.
    pub(super) async fn take_limits_over(&self, serving: &LiveRelease, release: &Release) -> bool {
        let app = &release.app;
        if serving.limits == self.preparer.limits_of(release) {
            return true;
        }
        let _turn = self.reloads.acquire().await;
        match self.preparer.load(release).await {
            Ok(live) => {
                self.remember(app, live);
                self.publish_routes();
                tracing::info!(app.name = %app, release.number = %release.number, "new limits hold");
                true
            }
            Err(error) => {
                tracing::warn!(app.name = %app, release.number = %release.number, "new limits do not hold yet: {error}");
                false
            }
        }
    }
}
