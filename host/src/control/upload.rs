//! Uploads on their way in: a temporary file each, hashed while it is written, gone unless it is kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt as _, BufWriter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use typecase_model::Digest;

use super::ControlError;

/// Uploads at once; together with the bundle limit it bounds the disk they can fill.
const UPLOADS_MAX: usize = 8;
const BUFFER_BYTES: usize = 256 << 10;

/// The folder of uploads.
pub struct Uploads {
    folder: PathBuf,
    next: AtomicU64,
    permits: Arc<Semaphore>,
}

impl Uploads {
    /// Makes the folder, and empties it of what a crash may have left.
    pub(super) async fn open(folder: PathBuf) -> Result<Self, ControlError> {
        let failed = |error| ControlError::disk("prepare the folder for uploads", error);
        tokio::fs::create_dir_all(&folder).await.map_err(failed)?;
        let mut entries = tokio::fs::read_dir(&folder).await.map_err(failed)?;
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            if entry.file_type().await.is_ok_and(|kind| kind.is_file()) {
                tokio::fs::remove_file(entry.path()).await.map_err(failed)?;
            }
        }
        let permits = Arc::new(Semaphore::new(UPLOADS_MAX));
        Ok(Self { folder, next: AtomicU64::new(0), permits })
    }

    pub(super) async fn begin(&self, announced: Option<u64>, bytes_max: u64) -> Result<Upload, ControlError> {
        if announced.is_some_and(|bytes| bytes > bytes_max) {
            return Err(ControlError::UploadTooLarge { max: bytes_max });
        }
        let permit = self.permits.clone().try_acquire_owned();
        let permit = permit.map_err(|_| ControlError::UploadsBusy { count: UPLOADS_MAX })?;
        let file = self.temporary("upload");
        let created = File::create(&file.0).await;
        let writer = created.map_err(|error| ControlError::disk("create a file for the upload", error))?;
        Ok(Upload {
            file,
            writer: BufWriter::with_capacity(BUFFER_BYTES, writer),
            hasher: Sha256::new(),
            bytes: 0,
            bytes_max,
            permit,
        })
    }

    /// A fresh path in the folder; what is there when it is dropped disappears.
    pub(super) fn temporary(&self, kind: &str) -> TemporaryFile {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        TemporaryFile(self.folder.join(format!("{kind}-{number}")))
    }
}

/// An upload that is being received.
pub struct Upload {
    file: TemporaryFile,
    writer: BufWriter<File>,
    hasher: Sha256,
    bytes: u64,
    bytes_max: u64,
    permit: OwnedSemaphorePermit,
}

impl Upload {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub async fn write(&mut self, piece: &[u8]) -> Result<(), ControlError> {
        self.bytes += piece.len() as u64;
        if self.bytes > self.bytes_max {
            return Err(ControlError::UploadTooLarge { max: self.bytes_max });
        }
        self.hasher.update(piece);
        let written = self.writer.write_all(piece).await;
        written.map_err(|error| ControlError::disk("write the upload", error))
    }

    /// All bytes are there. They are not synced to disk: only the copy in the storage must last.
    pub async fn finish(mut self) -> Result<Uploaded, ControlError> {
        let flushed = self.writer.flush().await;
        flushed.map_err(|error| ControlError::disk("write the upload", error))?;
        Ok(Uploaded {
            file: self.file,
            digest: Digest::from_bytes(self.hasher.finalize().into()),
            _permit: self.permit,
        })
    }
}

/// A complete upload.
pub struct Uploaded {
    pub(super) file: TemporaryFile,
    /// Of the bytes as they came.
    pub digest: Digest,
    _permit: OwnedSemaphorePermit,
}

impl Uploaded {
    pub fn expect_digest(&self, expected: Digest) -> Result<(), ControlError> {
        if self.digest == expected {
            return Ok(());
        }
        Err(ControlError::DigestMismatch { expected, found: self.digest })
    }
}

pub(super) struct TemporaryFile(PathBuf);

impl TemporaryFile {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // Removing one file of the local disk takes microseconds; what fails is removed at the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_stays_behind_and_limits_hold() {
        let folder = tempfile::tempdir().unwrap();
        let left = || std::fs::read_dir(folder.path()).unwrap().count();
        std::fs::write(folder.path().join("left-by-a-crash"), "x").unwrap();
        let uploads = Uploads::open(folder.path().to_owned()).await.unwrap();
        assert_eq!(left(), 0);

        let mut upload = uploads.begin(Some(10), 10).await.unwrap();
        upload.write(b"0123").await.unwrap();
        upload.write(b"4567").await.unwrap();
        let uploaded = upload.finish().await.unwrap();
        assert_eq!(uploaded.digest, Digest::of(b"01234567"));
        assert_eq!(std::fs::read(uploaded.file.path()).unwrap(), b"01234567");
        assert_eq!(uploaded.expect_digest(Digest::of(b"x")).unwrap_err().code(), "digest-mismatch");
        drop(uploaded);

        assert_eq!(uploads.begin(Some(11), 10).await.err().unwrap().code(), "upload-too-large");
        let mut upload = uploads.begin(None, 10).await.unwrap();
        assert_eq!(upload.write(&[0; 11]).await.unwrap_err().code(), "upload-too-large");
        drop(upload);
        assert_eq!(left(), 0);

        let mut taken = Vec::new();
        for _ in 0..UPLOADS_MAX {
            taken.push(uploads.begin(None, 10).await.unwrap());
        }
        assert_eq!(uploads.begin(None, 10).await.err().unwrap().code(), "uploads-busy");
    }
}
