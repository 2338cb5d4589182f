//! Where bundles are kept: immutable objects named by their digest.
//!
//! Storage is not trusted and may hang. So each object is verified whenever it is read, and all access runs
//! on a small runtime of its own with deadlines: a hung mount costs its few threads and nothing else.

mod location;
mod marker;
mod transfer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use typecase_model::Digest;

use crate::StoreError;

pub use location::StorageLocation;
pub(crate) use marker::Marker;

/// Transfers at once, and threads that a hung storage can hold. Publishing and preparing are rare; disks and
/// networks gain nothing from more.
const TRANSFERS_MAX: usize = 4;
/// The longest one transfer may take: well within a rollout's deadline, and enough for the largest bundle at
/// 10 MiB/s.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long somebody who asks how the storage is waits for it.
const EXAMINATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Handle to the bundle storage; clones share its threads.
#[derive(Debug, Clone)]
pub struct Bundles {
    objects: Arc<dyn ObjectStore>,
    pool: Arc<Pool>,
    /// In a cluster: what tells its storage from an empty folder.
    marker: Option<Marker>,
    /// Whether what is written is waited for until it is on the disk.
    durable: bool,
}

#[derive(Debug)]
struct Pool {
    /// None only while it is dropped.
    runtime: Option<Runtime>,
    permits: Arc<Semaphore>,
    deadline: Duration,
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Waiting here for a hung mount would hang the node's exit.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Bundles {
    /// Keeps bundles in a folder of this machine, which is made when missing.
    pub(crate) fn open_folder(folder: &Path, durable: bool) -> Result<Self, StoreError> {
        let opening = |error: std::io::Error| StoreError::storage("open the bundle storage", error);
        std::fs::create_dir_all(folder).map_err(opening)?;
        transfer::remove_staged(folder).map_err(opening)?;
        Self::open(&StorageLocation::Folder(folder.to_owned()), durable, None)
    }

    /// Keeps bundles in a cluster's storage, which is touched only when it is used: it may hang.
    pub(crate) fn open_shared(location: &StorageLocation, cluster: &str) -> Result<Self, StoreError> {
        Self::open(location, true, Some(Marker::new(location, cluster)))
    }

    fn open(location: &StorageLocation, durable: bool, marker: Option<Marker>) -> Result<Self, StoreError> {
        let opening = |error: std::io::Error| StoreError::storage("open the bundle storage", error);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(TRANSFERS_MAX)
            .thread_name("storage")
            .enable_all()
            .build()
            .map_err(opening)?;
        let pool = Arc::new(Pool {
            runtime: Some(runtime),
            permits: Arc::new(Semaphore::new(TRANSFERS_MAX)),
            deadline: TRANSFER_TIMEOUT,
        });
        // Made within that runtime, whose threads its connections belong to.
        let _guard = pool.runtime.as_ref().map(Runtime::enter);
        let objects = location.open(durable)?;
        drop(_guard);
        Ok(Self { objects, pool, marker, durable })
    }

    /// Stores the file under its digest and makes it durable. An object that is there already is verified
    /// and kept; a damaged one is replaced by this good copy.
    pub(crate) async fn put_file(&self, digest: Digest, file: &Path) -> Result<(), StoreError> {
        let (objects, file, marker) = (self.objects.clone(), file.to_owned(), self.marker.clone());
        self.run("store the bundle", async move {
            // Into the folder below an unmounted volume nothing is written.
            if let Some(marker) = marker {
                marker.check(&*objects).await?;
            }
            transfer::put_file(&*objects, &object_path(digest), digest, &file).await
        })
        .await
    }

    /// Copies a bundle to `destination`, which appears there only complete and verified. Its folder must be
    /// private to the node. [`StoreError::Corrupt`] when the stored bytes are not the digest's.
    pub async fn fetch_to(&self, digest: Digest, destination: &Path) -> Result<(), StoreError> {
        let (objects, destination, marker) =
            (self.objects.clone(), destination.to_owned(), self.marker.clone());
        let durable = self.durable;
        self.run("fetch the bundle", async move {
            let fetched =
                transfer::fetch_to(&*objects, &object_path(digest), digest, &destination, durable).await;
            // A volume that is not mounted lacks everything, and nothing there is to be mended.
            if let (Err(StoreError::NotFound(_)), Some(marker)) = (&fetched, marker) {
                marker.check(&*objects).await?;
            }
            fetched
        })
        .await
    }

    /// Puts the cluster's marker into a storage that has none, or checks that it is this cluster's.
    pub(crate) async fn mark(&self, may_make: bool) -> Result<(), StoreError> {
        let Some(marker) = self.marker.clone() else { return Ok(()) };
        let objects = self.objects.clone();
        self.run("look at the bundle storage", async move {
            match may_make {
                true => marker.make_or_check(&*objects).await,
                false => marker.check(&*objects).await,
            }
        })
        .await
    }

    /// Removes a bundle; not an error when there is none.
    pub(crate) async fn delete(&self, digest: Digest) -> Result<(), StoreError> {
        let objects = self.objects.clone();
        self.run("delete the bundle", async move {
            match objects.delete(&object_path(digest)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(StoreError::storage("delete the bundle", error)),
            }
        })
        .await
    }

    /// Runs one transfer on the storage threads. On a deadline the caller goes on, but the transfer keeps its
    /// permit until it really ends: what hangs stays counted, so the pool can never be exceeded.
    async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        transfer: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Some(runtime) = &self.pool.runtime else {
            return Err(StoreError::storage(what, "the node is stopping"));
        };
        let limited = async {
            let permits = self.pool.permits.clone();
            let permit = permits.acquire_owned().await.map_err(|e| StoreError::storage(what, e))?;
            let task = runtime.spawn(async move {
                let result = transfer.await;
                drop(permit);
                result
            });
            task.await.map_err(|error| StoreError::storage(what, error))?
        };
        match tokio::time::timeout(self.pool.deadline, limited).await {
            Ok(result) => result,
            Err(_) => {
                Err(StoreError::storage(what, format!("no answer within {} s", self.pool.deadline.as_secs())))
            }
        }
    }
}

/// Two digits of fan-out keep folders small enough to be listed by hand.
fn object_path(digest: Digest) -> ObjectPath {
    let hex = digest.hex();
    ObjectPath::from(format!("bundles/sha256/{}/{hex}", &hex[..2]))
}

/// Looks at a storage from outside, for whoever sets a cluster up: the id of the cluster that it belongs to, if any.
pub async fn examine_storage(location: &StorageLocation) -> Result<Option<String>, StoreError> {
    let mut bundles = Bundles::open(location, true, None)?;
    if let Some(pool) = Arc::get_mut(&mut bundles.pool) {
        pool.deadline = EXAMINATION_TIMEOUT;
    }
    let (objects, marker) = (bundles.objects.clone(), Marker::new(location, ""));
    bundles.run("look at the bundle storage", async move { marker.read(&*objects).await }).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestStore, on_both_databases};

    on_both_databases!(
        bundles_come_back_as_they_went_in_large_ones_too,
        a_damaged_bundle_is_refused_and_healed_by_publishing_it_again,
        a_file_that_is_not_its_digest_is_never_stored,
    );

    fn stored_file(test: &TestStore, digest: Digest) -> std::path::PathBuf {
        test.folder.path().join("storage").join(object_path(digest).to_string())
    }

    async fn bundles_come_back_as_they_went_in_large_ones_too(test: TestStore) {
        for size in [0, 5, 20 << 20] {
            let bytes: Vec<u8> = (0..size).map(|byte| (byte % 251) as u8).collect();
            let (file, copy) = (test.folder.path().join("up"), test.folder.path().join("down/copy"));
            std::fs::write(&file, &bytes).unwrap();
            let digest = Digest::of(&bytes);
            test.store.put_bundle(digest, &file).await.unwrap();
            test.store.put_bundle(digest, &file).await.unwrap();
            test.store.bundles().fetch_to(digest, &copy).await.unwrap();
            assert!(std::fs::read(&copy).unwrap() == bytes);
            assert_eq!(std::fs::read_dir(copy.parent().unwrap()).unwrap().count(), 1);
        }
    }

    async fn a_damaged_bundle_is_refused_and_healed_by_publishing_it_again(test: TestStore) {
        let (file, copy) = (test.folder.path().join("up"), test.folder.path().join("copy"));
        std::fs::write(&file, b"good").unwrap();
        let digest = Digest::of(b"good");
        test.store.put_bundle(digest, &file).await.unwrap();
        std::fs::write(stored_file(&test, digest), b"evil").unwrap();
        let error = test.store.bundles().fetch_to(digest, &copy).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains(&digest.to_string()), "{error}");
        assert_eq!(
            std::fs::read_dir(test.folder.path())
                .unwrap()
                .filter(|entry| { entry.as_ref().unwrap().file_name().to_string_lossy().contains("copy") })
                .count(),
            0
        );
        test.store.put_bundle(digest, &file).await.unwrap();
        test.store.bundles().fetch_to(digest, &copy).await.unwrap();
    }

    async fn a_file_that_is_not_its_digest_is_never_stored(test: TestStore) {
        let file = test.folder.path().join("up");
        for bytes in [vec![1; 10], vec![1; 9 << 20]] {
            std::fs::write(&file, bytes).unwrap();
            let digest = Digest::of(b"something else");
            let error = test.store.put_bundle(digest, &file).await.unwrap_err();
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
            assert!(!stored_file(&test, digest).exists());
        }
    }

    #[tokio::test]
    async fn a_hung_storage_costs_its_threads_only() {
        let test = TestStore::on_sqlite().await;
        let mut bundles = Bundles::open_folder(&test.folder.path().join("other"), true).unwrap();
        Arc::get_mut(&mut bundles.pool).unwrap().deadline = Duration::from_millis(200);
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        for _ in 0..TRANSFERS_MAX {
            let (bundles, held) = (bundles.clone(), held.clone());
            tokio::spawn(async move {
                bundles
                    .run("hang", async move {
                        let wait = move || held.lock().unwrap().recv().is_err();
                        tokio::task::spawn_blocking(wait).await.unwrap();
                        Ok(())
                    })
                    .await
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let error = bundles.delete(Digest::of(b"x")).await.unwrap_err();
        assert!(error.may_be_retried(), "{error}");
        test.store.ping().await.unwrap();
        drop(release);
        bundles.delete(Digest::of(b"x")).await.unwrap();
    }
}
