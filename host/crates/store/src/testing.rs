//! A real store on either database, and short ways to fill it.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use typecase_harness::services::MariaDb;
use typecase_model::{AppName, Digest, Generation, Manifest, Receipt, ReceiptState, Release, ReleaseNumber};

use crate::{Candidacy, ClusterSecret, DatabaseUrl, NewRelease, StorageLocation, Store, StoreError};

/// Of the one that each test's server has.
const DATABASE: &str = "cluster";

/// Makes two tests of each `async fn name(test: TestStore)`: `name::sqlite` and `name::mariadb`.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn sqlite() {
                super::$name($crate::testing::TestStore::on_sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn mariadb() {
                super::$name($crate::testing::TestStore::on_mariadb().await).await;
            }
        }
    )+};
}
pub(crate) use on_both_databases;

/// A node's store, with its own folder and, in a cluster, the server that the nodes share.
pub(crate) struct TestStore {
    pub store: Store,
    pub folder: TempDir,
    server: Option<MariaDb>,
    /// Calls may take longer than in production.
    patient: bool,
}

impl TestStore {
    /// A single node's.
    pub async fn on_sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        Self { store: open_single(&folder).await, folder, server: None, patient: true }
    }

    /// A cluster's first node's, with time for every call.
    pub async fn on_mariadb() -> Self {
        let mut test = Self::on_mariadb_with_deadlines().await;
        test.store.database.be_patient();
        test.patient = true;
        test
    }

    /// A cluster's first node's, with the deadlines of production.
    pub async fn on_mariadb_with_deadlines() -> Self {
        let server = MariaDb::start().await;
        server.create_database(DATABASE).await;
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("storage")).unwrap();
        let store = join(&server.url(DATABASE), folder.path()).await.unwrap();
        store.check_storage().await.unwrap();
        Self { store, folder, server: Some(server), patient: false }
    }

    /// What a restart does: everything but the files is gone.
    pub async fn reopen(self) -> Self {
        self.store.close().await;
        let store = match &self.server {
            None => open_single(&self.folder).await,
            Some(_) => self.another_node().await,
        };
        Self { store, ..self }
    }

    /// The store of another node of the cluster, with connections of its own.
    pub async fn another_node(&self) -> Store {
        let store = join(&self.url(), self.folder.path()).await.unwrap();
        if self.patient {
            store.database.be_patient();
        }
        store
    }

    /// Whether the database is one that several nodes may use.
    pub fn is_shared(&self) -> bool {
        self.server.is_some()
    }

    pub fn server(&self) -> &MariaDb {
        self.server.as_ref().unwrap()
    }

    pub fn server_mut(&mut self) -> &mut MariaDb {
        self.server.as_mut().unwrap()
    }

    /// Where the cluster's tables are.
    pub fn url(&self) -> String {
        self.server().url(DATABASE)
    }

    /// Runs statements on the cluster's tables, as root; gives back the rows, a line each.
    pub async fn raw(&self, sql: &str) -> String {
        self.server().query(&format!("USE {DATABASE}; {sql}")).await
    }

    /// The transactions that are open, a line each with their state.
    pub async fn transactions(&self) -> String {
        // A list that somebody has looked at within the last 100 ms is shown again as it was.
        tokio::time::sleep(Duration::from_millis(150)).await;
        self.raw("SELECT trx_state, trx_query FROM information_schema.innodb_trx").await
    }

    /// Whether the values of apps' configs are stored with this text in them.
    pub async fn holds(&self, text: &str) -> bool {
        if self.is_shared() {
            return self.raw("SELECT * FROM app_config").await.contains(text);
        }
        let files = std::fs::read_dir(self.folder.path()).unwrap().flatten();
        let contents = files.map(|file| std::fs::read(file.path()).unwrap_or_default());
        contents.into_iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
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

pub(crate) fn secret() -> ClusterSecret {
    ClusterSecret::new("a secret for tests, of which all nodes have a copy").unwrap()
}

async fn open_single(folder: &TempDir) -> Store {
    let path = folder.path();
    Store::open_sqlite(&path.join("typecase.db"), &path.join("storage"), &secret()).await.unwrap()
}

/// Joins the cluster in a database, with the folder's storage.
pub(crate) async fn join(url: &str, folder: &Path) -> Result<Store, StoreError> {
    let url: DatabaseUrl = url.parse().unwrap();
    let storage = StorageLocation::Folder(folder.join("storage"));
    Store::open_cluster(&url, &storage, &secret()).await
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
        name: String::new(),
        app: name(app),
        release: ReleaseNumber(release),
        node: node.parse().unwrap(),
        state,
        detail: None,
        duration_ms: 7,
        at_unix_ms: 0,
    }
}
