//! A real store in a temporary folder, and short ways to fill it.

use tempfile::TempDir;
use typecase_model::{AppName, Digest, Generation, Manifest, Receipt, ReceiptState, Release, ReleaseNumber};

use crate::{Candidacy, ClusterSecret, NewRelease, Store, StoreError};

pub(crate) struct TestStore {
    pub store: Store,
    pub folder: TempDir,
}

impl TestStore {
    pub async fn open() -> Self {
        let folder = TempDir::new().unwrap();
        Self { store: open_in(&folder).await, folder }
    }

    /// What a restart does: everything but the files is gone.
    pub async fn reopen(self) -> Self {
        self.store.close().await;
        Self { store: open_in(&self.folder).await, folder: self.folder }
    }

    /// Publishes `bytes` as a bundle and leaves the release a candidate.
    pub async fn publish(&self, app: &str, bytes: &[u8]) -> Result<Candidacy, StoreError> {
        publish(&self.store, app, bytes, true).await
    }

    /// Publishes and activates.
    pub async fn release(&self, app: &str, bytes: &[u8]) -> (Release, Generation) {
        let (release, generation) = candidate(self.publish(app, bytes).await.unwrap());
        assert!(self.store.activate(&release.app, release.number, generation).await.unwrap());
        (release, Generation(generation.0 + 1))
    }
}

async fn open_in(folder: &TempDir) -> Store {
    let path = folder.path();
    let secret = ClusterSecret::new("a secret for tests, of which all nodes have a copy").unwrap();
    Store::open_sqlite(&path.join("typecase.db"), &path.join("storage"), &secret).await.unwrap()
}

pub(crate) async fn publish(
    store: &Store,
    app: &str,
    bytes: &[u8],
    activate: bool,
) -> Result<Candidacy, StoreError> {
    let app = name(app);
    store
        .create_candidate(&NewRelease {
            app: &app,
            digest: Digest::of(bytes),
            manifest: &Manifest::for_component(app.clone()),
            note: "",
            publisher: "admin",
            activate,
            expected: None,
        })
        .await
}

pub(crate) fn candidate(candidacy: Candidacy) -> (Release, Generation) {
    match candidacy {
        Candidacy::Candidate(release, generation) => (release, generation),
        Candidacy::AlreadyActive(release, _) => panic!("{release:?} is active already"),
    }
}

pub(crate) fn name(app: &str) -> AppName {
    app.parse().unwrap()
}

pub(crate) fn receipt(app: &str, release: u32, node: &str, state: ReceiptState) -> Receipt {
    Receipt {
        app: name(app),
        release: ReleaseNumber(release),
        node: node.parse().unwrap(),
        state,
        detail: None,
        duration_ms: 7,
        at_unix_ms: 0,
    }
}
