//! Publishing through a node: after `host/src/control/publish.rs` and `host/src/control/rollout.rs`.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::time::Instant as Deadline;
use typecase_cluster::Announcements;
use typecase_model::{
    AppName, Digest, Generation, Manifest, ReceiptState, Release, ReleaseNumber, ReleaseState, Topic,
};
use typecase_store::{Candidacy, NewRelease, Store, StoreError};

// The product's.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
const SERVING_TIMEOUT: Duration = Duration::from_secs(5);
/// The product's is longer than the time of a rollout, which nobody here should need.
const TIMEOUT: Duration = Duration::from_secs(150);

/// The name of the app with this number.
pub fn app_name(number: usize) -> Result<AppName> {
    Ok(format!("app-{number}").parse()?)
}

/// Fills the tables with apps that serve.
pub async fn found(store: &Store, apps: usize) -> Result<()> {
    for number in 0..apps {
        let app = app_name(number)?;
        let (release, generation) = record(store, &app, Digest::of(app.as_str().as_bytes())).await?;
        if !store.activate(&app, release.number, generation).await? {
            bail!("release {} of {app} was not activated", release.number);
        }
    }
    Ok(())
}

async fn record(store: &Store, app: &AppName, digest: Digest) -> Result<(Release, Generation)> {
    let candidacy = store
        .create_candidate(&NewRelease {
            app,
            digest,
            manifest: &Manifest::for_component(app.clone()),
            note: "",
            publisher: "bench",
            activate: true,
            expected: None,
        })
        .await?;
    match candidacy {
        Candidacy::Candidate(release, generation) => Ok((release, generation)),
        Candidacy::AlreadyActive(release, _) => bail!("release {} of {app} serves already", release.number),
    }
}

/// The control plane of the node that takes an upload.
#[derive(Debug, Clone)]
pub struct Publisher {
    pub store: Store,
    pub announcements: Announcements,
}

impl Publisher {
    /// Publishes something new, and waits for the end of its rollout as the API does; when it was recorded.
    pub async fn publish(&self, app: &AppName) -> Result<(ReleaseNumber, Instant)> {
        let content = format!("{app} at {:?}", Instant::now());
        let mut bundle = tempfile::NamedTempFile::new().context("making the bundle")?;
        bundle.write_all(content.as_bytes()).context("writing the bundle")?;
        let digest = Digest::of(content.as_bytes());
        self.store.put_bundle(digest, bundle.path()).await?;
        let (release, _) = record(&self.store, app, digest).await?;
        let recorded = Instant::now();
        self.announcements.announce(Topic::App(app.clone()));
        self.wait(app, release.number).await?;
        Ok((release.number, recorded))
    }

    async fn wait(&self, app: &AppName, number: ReleaseNumber) -> Result<()> {
        let deadline = Deadline::now() + TIMEOUT;
        let mut serving_deadline = None;
        let mut announcements = self.announcements.subscribe();
        loop {
            let now = Deadline::now();
            match self.is_over(app, number, &mut serving_deadline).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if error.may_be_retried() => {}
                Err(error) => return Err(error.into()),
            }
            if now >= deadline {
                bail!("the rollout took longer than {} s", TIMEOUT.as_secs());
            }
            let pause = tokio::time::sleep_until(now + POLL_INTERVAL);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    topic = announcements.next() => match topic {
                        Topic::App(other) if other != *app => {}
                        Topic::App(_) | Topic::All => break,
                        Topic::Settings | Topic::Nodes | Topic::Bundles => {}
                    },
                }
            }
        }
    }

    async fn is_over(
        &self,
        app: &AppName,
        number: ReleaseNumber,
        serving_deadline: &mut Option<Deadline>,
    ) -> Result<bool, StoreError> {
        let release = self.store.release(app, number).await?;
        let receipts = self.store.receipts(app, number).await?;
        let now = Deadline::now();
        match release.state {
            ReleaseState::Preparing => Ok(false),
            ReleaseState::Active if now < *serving_deadline.get_or_insert(now + SERVING_TIMEOUT) => {
                let live = self.store.live_nodes().await?;
                Ok(live.iter().all(|node| {
                    let receipt = receipts.iter().find(|receipt| receipt.node == node.id);
                    receipt.is_some_and(|receipt| receipt.state != ReceiptState::Prepared)
                }))
            }
            _ => Ok(true),
        }
    }
}
