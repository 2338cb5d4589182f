//! Candidates that are being prepared, on disk: what a process took with it when it ended in the middle of that.
//!
//! A component that ends the process, by whatever hole there is, must not end it at each start from then on.

use std::fs;
use std::io;
use std::path::PathBuf;

use typecase_model::Release;

/// A node may be stopped by hand, or lose its power, while it prepares a candidate.
pub const ATTEMPTS_MAX: u64 = 3;

/// The folder with a file for each candidate that is being prepared, as long as its attempts.
#[derive(Debug)]
pub struct Attempts {
    folder: PathBuf,
}

/// An attempt that is under way; whatever its end, the process was there to see it.
#[derive(Debug)]
pub struct Attempt(PathBuf);

impl Drop for Attempt {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Attempts {
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// None: the process has ended [`ATTEMPTS_MAX`] times while it prepared this release. On a disk that takes nothing more
    /// attempts are not counted.
    pub fn begin(&self, release: &Release) -> Option<Attempt> {
        let path = self.folder.join(format!("{}.{}", release.app, release.number));
        let before = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if before >= ATTEMPTS_MAX {
            // Whoever has it tried again has it tried in full.
            drop(Attempt(path));
            return None;
        }
        if let Err(error) = fs::write(&path, ".".repeat(before as usize + 1)) {
            tracing::warn!(file = %path.display(), "an attempt is not counted: {error}");
        }
        Some(Attempt(path))
    }
}
