//! Moves bundles between local files and the storage, hashing every byte that passes.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt as _;
use object_store::path::Path as ObjectPath;
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt as _, PutPayload};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use typecase_model::Digest;

use crate::StoreError;

/// Uploads go up in pieces of this size; object stores want at least 5 MiB.
const PART_BYTES: usize = 8 << 20;
const READ_BUFFER_BYTES: usize = 1 << 20;
/// More than any operator lets be published; stops a swapped object from filling the node's disk.
const BUNDLE_BYTES_MAX: u64 = 4 << 30;

pub(super) async fn put_file(
    objects: &dyn ObjectStore,
    location: &ObjectPath,
    digest: Digest,
    path: &Path,
) -> Result<(), StoreError> {
    const WHAT: &str = "store the bundle";
    let failed = |error: io::Error| StoreError::storage(WHAT, error);
    let mut file = tokio::fs::File::open(path).await.map_err(failed)?;
    let size = file.metadata().await.map_err(failed)?.len();
    if is_stored(objects, location, digest, size).await? {
        return Ok(());
    }
    let mut hasher = Sha256::new();
    let mut part = read_part(&mut file, &mut hasher).await.map_err(failed)?;
    if size <= PART_BYTES as u64 {
        expect_digest(hasher, digest, path.display())?;
        objects
            .put(location, PutPayload::from(part))
            .await
            .map_err(|error| StoreError::storage(WHAT, error))?;
        return Ok(());
    }
    let mut upload =
        objects.put_multipart(location).await.map_err(|error| StoreError::storage(WHAT, error))?;
    let uploaded = async {
        while !part.is_empty() {
            upload
                .put_part(PutPayload::from(part))
                .await
                .map_err(|error| StoreError::storage(WHAT, error))?;
            part = read_part(&mut file, &mut hasher).await.map_err(failed)?;
        }
        expect_digest(hasher, digest, path.display())?;
        upload.complete().await.map_err(|error| StoreError::storage(WHAT, error))
    }
    .await;
    if let Err(error) = uploaded {
        // Best effort: a left-over part is not an object and is swept at the next start.
        let _ = upload.abort().await;
        return Err(error);
    }
    Ok(())
}

pub(super) async fn fetch_to(
    objects: &dyn ObjectStore,
    location: &ObjectPath,
    digest: Digest,
    destination: &Path,
    durable: bool,
) -> Result<(), StoreError> {
    const WHAT: &str = "fetch the bundle";
    let found = match objects.get(location).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => {
            return Err(StoreError::NotFound(format!("the stored bundle {digest}")));
        }
        Err(error) => return Err(StoreError::storage(WHAT, error)),
    };
    if found.meta.size > BUNDLE_BYTES_MAX {
        return Err(corrupt(digest, format!("{} bytes are stored", found.meta.size)));
    }
    let failed = |error: io::Error| StoreError::own_disk(WHAT, error);
    let partial = Partial::beside(destination, durable);
    match found.payload {
        GetResultPayload::File(mut stored, _) => {
            let (partial, destination) = (partial, destination.to_owned());
            blocking(WHAT, move || {
                let mut file = partial.create().map_err(failed)?;
                let mut hasher = Sha256::new();
                let mut buffer = vec![0; READ_BUFFER_BYTES];
                loop {
                    let count = stored.read(&mut buffer).map_err(|error| StoreError::storage(WHAT, error))?;
                    if count == 0 {
                        break;
                    }
                    hasher.update(&buffer[..count]);
                    file.write_all(&buffer[..count]).map_err(failed)?;
                }
                expect_digest(hasher, digest, "the storage")?;
                partial.publish(&file, &destination).map_err(failed)
            })
            .await
        }
        GetResultPayload::Stream(mut stream) => {
            let mut hasher = Sha256::new();
            let mut file = partial.create().map_err(failed)?;
            while let Some(piece) = stream.next().await {
                let piece = piece.map_err(|error| StoreError::storage(WHAT, error))?;
                hasher.update(&piece);
                let mut target = file.try_clone().map_err(failed)?;
                blocking(WHAT, move || target.write_all(&piece).map_err(failed)).await?;
                file.flush().map_err(failed)?;
            }
            expect_digest(hasher, digest, "the storage")?;
            let destination = destination.to_owned();
            blocking(WHAT, move || partial.publish(&file, &destination).map_err(failed)).await
        }
    }
}

/// Whether the object is there and good. Reading it all again is the price for healing a damaged one; it
/// is paid only when a digest is published twice.
async fn is_stored(
    objects: &dyn ObjectStore,
    location: &ObjectPath,
    digest: Digest,
    size: u64,
) -> Result<bool, StoreError> {
    const WHAT: &str = "look for the bundle in the storage";
    let found = match objects.get(location).await {
        Ok(found) if found.meta.size == size => found,
        Ok(_) | Err(object_store::Error::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(StoreError::storage(WHAT, error)),
    };
    let mut hasher = Sha256::new();
    match found.payload {
        GetResultPayload::File(mut stored, _) => {
            hasher = blocking(WHAT, move || {
                let mut buffer = vec![0; READ_BUFFER_BYTES];
                loop {
                    match stored.read(&mut buffer).map_err(|e| StoreError::storage(WHAT, e))? {
                        0 => return Ok(hasher),
                        count => hasher.update(&buffer[..count]),
                    }
                }
            })
            .await?;
        }
        GetResultPayload::Stream(mut stream) => {
            while let Some(piece) = stream.next().await {
                hasher.update(&piece.map_err(|error| StoreError::storage(WHAT, error))?);
            }
        }
    }
    let good = Digest::from_bytes(hasher.finalize().into()) == digest;
    if !good {
        tracing::warn!(bundle.digest = %digest, "the stored bundle is corrupt; replacing it by the uploaded copy");
    }
    Ok(good)
}

async fn read_part(file: &mut tokio::fs::File, hasher: &mut Sha256) -> io::Result<Vec<u8>> {
    let mut part = Vec::new();
    file.take(PART_BYTES as u64).read_to_end(&mut part).await?;
    hasher.update(&part);
    Ok(part)
}

fn expect_digest(hasher: Sha256, digest: Digest, origin: impl std::fmt::Display) -> Result<(), StoreError> {
    let found = Digest::from_bytes(hasher.finalize().into());
    if found == digest {
        return Ok(());
    }
    Err(corrupt(digest, format!("the bytes in {origin} have the digest {found}")))
}

fn corrupt(digest: Digest, detail: String) -> StoreError {
    StoreError::Corrupt { what: format!("the stored bundle {digest}"), detail }
}

async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::storage(what, error))?
}

/// A file under construction; it disappears unless published.
struct Partial {
    path: PathBuf,
    durable: bool,
}

impl Partial {
    fn beside(destination: &Path, durable: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut name = destination.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}-{number}.part", std::process::id()));
        Self { path: destination.with_file_name(name), durable }
    }

    fn create(&self) -> io::Result<std::fs::File> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::File::create(&self.path)
    }

    fn publish(&self, file: &std::fs::File, destination: &Path) -> io::Result<()> {
        // Flushed first: after a power cut the name must not stand for an empty file.
        if self.durable {
            file.sync_data()?;
        }
        std::fs::rename(&self.path, destination)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After publishing there is nothing under this name any more.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes what uploads that were cut off by a crash left behind: files named `DIGEST#NUMBER`.
pub(super) fn remove_staged(folder: &Path) -> io::Result<()> {
    let objects = folder.join("bundles").join("sha256");
    if !objects.exists() {
        return Ok(());
    }
    for fan_out in std::fs::read_dir(objects)? {
        let fan_out = fan_out?.path();
        if !fan_out.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(fan_out)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().contains('#') {
                std::fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}
