//! Publishing: from uploaded bytes to a candidate that all nodes know of.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use typecase_bundle::{BundleError, PackError};
use typecase_model::{AppName, Generation, Manifest, Principal, Topic};
use typecase_runtime::{Compiler, InspectFailure};
use typecase_store::{Candidacy, NewRelease, StoreError};

use super::upload::{TemporaryFile, Uploaded};
use super::{CHECKS_MAX, Control, ControlError};
use crate::judge::{self, Judgement, Rules};

/// What is kept of a publisher's remark.
pub const NOTE_CHARS_MAX: usize = 1_000;
/// How long an upload waits for its turn to be judged; the largest ones take a few seconds each.
const JUDGE_WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// What a publisher asks for, besides the bundle.
#[derive(Debug)]
pub struct PublishRequest {
    pub app: AppName,
    pub note: String,
    /// False: prepare on all nodes, and leave the active release serving.
    pub activate: bool,
    /// Refuse when the app is at another generation than the publisher has seen.
    pub expected: Option<Generation>,
}

impl Control {
    /// Judges an upload, stores it and makes it the app's candidate. Nothing is stored of what is refused.
    pub async fn publish(
        &self,
        request: PublishRequest,
        uploaded: Uploaded,
        publisher: &Principal,
    ) -> Result<Candidacy, ControlError> {
        let PublishRequest { app, note, activate, expected } = request;
        let count = note.chars().count();
        if count > NOTE_CHARS_MAX {
            return Err(ControlError::NoteTooLong { count, max: NOTE_CHARS_MAX });
        }
        let judged = self.judge(&app, uploaded).await?;
        let Judgement { manifest, objections, .. } = judged.judgement?;
        if !objections.is_empty() {
            return Err(ControlError::Refused(objections));
        }
        self.refuse_taken_hosts(&app, &manifest).await?;
        self.require_config(&app, &manifest).await?;
        self.inner.store.put_bundle(judged.bundle.digest, judged.bundle.file.path()).await?;
        let candidacy = self
            .inner
            .store
            .create_candidate(&NewRelease {
                app: &app,
                digest: judged.bundle.digest,
                manifest: &manifest,
                note: &note,
                publisher: &publisher.name,
                activate,
                expected,
            })
            .await?;
        if let Candidacy::Candidate(release, _) = &candidacy {
            tracing::info!(
                app.name = %app, release.number = %release.number, principal.name = %publisher.name,
                bundle.digest = %release.digest, "release published"
            );
        }
        // Also when nothing changed: the upload may have healed the stored bundle of a release that a node could
        // not load.
        self.inner.announcements.announce(Topic::App(app));
        Ok(candidacy)
    }

    /// Looks at every byte of the upload, on a thread where that may block, a few uploads at a time.
    pub(super) async fn judge(&self, app: &AppName, uploaded: Uploaded) -> Result<Judged, ControlError> {
        let turn = self.inner.checks.clone().acquire_owned();
        let Ok(Ok(turn)) = tokio::time::timeout(JUDGE_WAIT_TIMEOUT, turn).await else {
            return Err(ControlError::UploadsBusy { count: CHECKS_MAX });
        };
        let job = Job {
            app: app.clone(),
            rules: Rules {
                limits: self.inner.settings.load().effective.limits,
                bundle: self.bundle_policy(),
            },
            wrapped: self.inner.uploads.temporary("wrapped"),
            component: self.inner.uploads.temporary("component"),
            compiler: self.inner.compiler.clone(),
            clock: Handle::current(),
            _turn: turn,
        };
        let judged = tokio::task::spawn_blocking(move || job.run(uploaded)).await;
        judged.map_err(|error| ControlError::Internal(format!("judging the bundle: {error}")))?
    }

    /// A host name leads to one app only. Asked before the bundle is stored; of two publishes at the same moment that both
    /// pass here, the store refuses the later one.
    pub(super) async fn refuse_taken_hosts(
        &self,
        app: &AppName,
        manifest: &Manifest,
    ) -> Result<(), ControlError> {
        match self.taken_hosts(app, manifest).await?.into_iter().next() {
            Some((index, owner)) => {
                Err(StoreError::HostTaken { host: manifest.app.hosts[index].clone(), owner }.into())
            }
            None => Ok(()),
        }
    }

    /// Which of the manifest's hosts lead to another app, and to which.
    pub(super) async fn taken_hosts(
        &self,
        app: &AppName,
        manifest: &Manifest,
    ) -> Result<Vec<(usize, AppName)>, ControlError> {
        let hosts = &manifest.app.hosts;
        let mut taken = Vec::new();
        if hosts.is_empty() {
            return Ok(taken);
        }
        for other in self.inner.store.desired().await? {
            if other.app.name == *app {
                continue;
            }
            let releases: Vec<_> = [other.active, other.candidate].into_iter().flatten().collect();
            let own_name =
                self.inner.base_domain.as_ref().map(|domain| format!("{}.{domain}", other.app.name));
            let theirs = |host: &String| {
                if own_name.as_ref() == Some(host) {
                    return true;
                }
                let mut hosts = releases.iter().flat_map(|release| &release.manifest.app.hosts);
                hosts.any(|theirs| theirs.eq_ignore_ascii_case(host))
            };
            for (index, _) in hosts.iter().enumerate().filter(|(_, host)| theirs(host)) {
                taken.push((index, other.app.name.clone()));
            }
        }
        Ok(taken)
    }
}

/// A bundle that was looked at.
pub(super) struct Judged {
    /// What would be stored: the upload, or the bundle a bare component was wrapped into.
    pub(super) bundle: Uploaded,
    pub(super) size_bytes: u64,
    pub(super) judgement: Result<Judgement, BundleError>,
}

struct Job {
    app: AppName,
    rules: Rules,
    /// Where the bundle of a bare component is written.
    wrapped: TemporaryFile,
    /// Where a child process finds the component.
    component: TemporaryFile,
    compiler: Arc<Compiler>,
    /// Waits for the child, within a deadline.
    clock: Handle,
    /// Held by the work itself: it goes on for a while when the publisher goes away.
    _turn: OwnedSemaphorePermit,
}

impl Job {
    fn run(self, mut bundle: Uploaded) -> Result<Judged, ControlError> {
        let Self { app, rules, wrapped, component, compiler, clock, _turn } = self;
        if is_bare_component(bundle.file.path())? {
            let written = typecase_bundle::wrap_component(&app, bundle.file.path(), wrapped.path());
            bundle.digest = written.map_err(wrapping_failed)?.digest;
            bundle.file = wrapped;
        }
        let path = bundle.file.path();
        let size =
            std::fs::metadata(path).map_err(|error| ControlError::disk("look at the upload", error))?;
        let judgement = judge::judge(path, Some(&app), &rules, |bytes| {
            std::fs::write(component.path(), bytes).map_err(InspectFailure::Host)?;
            clock.block_on(compiler.inspect(component.path()))
        });
        Ok(Judged { size_bytes: size.len(), judgement, bundle })
    }
}

fn is_bare_component(path: &Path) -> Result<bool, ControlError> {
    let mut first_bytes = Vec::with_capacity(4);
    File::open(path)
        .and_then(|file| file.take(4).read_to_end(&mut first_bytes))
        .map_err(|error| ControlError::disk("read the upload", error))?;
    Ok(typecase_bundle::is_wasm(&first_bytes))
}

fn wrapping_failed(error: PackError) -> ControlError {
    match error {
        PackError::Io { action, source, .. } => ControlError::disk(action, source),
        PackError::ComponentTooLarge { file, max } => {
            BundleError::ComponentTooLarge { bytes: file.bytes, max }.into()
        }
        other => ControlError::Internal(format!("wrapping the component into a bundle: {other}")),
    }
}
