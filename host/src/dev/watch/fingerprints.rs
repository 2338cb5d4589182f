//! What files were like when they were last looked at.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Sources are small; of what is larger, size and time of the last change have to do.
const READ_BYTES_MAX: u64 = 1 << 20;
/// All that is read at the start; what lies beyond counts as changed when something happens to it.
const LEARNT_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, Default)]
pub struct Fingerprints {
    files: HashMap<PathBuf, u64>,
    learnt_bytes: u64,
}

impl Fingerprints {
    /// Takes a file as it is now.
    pub fn learn(&mut self, path: PathBuf) {
        if self.learnt_bytes > LEARNT_BYTES_MAX {
            return;
        }
        if let Some((fingerprint, size)) = fingerprint(&path) {
            self.learnt_bytes += size.min(READ_BYTES_MAX);
            self.files.insert(path, fingerprint);
        }
    }

    pub fn knows(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    /// Whether a file is another one than when it was last looked at, which is now.
    pub fn has_changed(&mut self, path: &Path) -> bool {
        match fingerprint(path) {
            Some((now, _)) => self.files.insert(path.to_owned(), now) != Some(now),
            // One that came and went again was never there.
            None => self.files.remove(path).is_some(),
        }
    }

    /// Files known to be below a folder.
    pub fn below(&self, folder: &Path) -> Vec<PathBuf> {
        self.files.keys().filter(|path| path.starts_with(folder)).cloned().collect()
    }

    pub fn all(&self) -> Vec<PathBuf> {
        self.files.keys().cloned().collect()
    }
}

/// None for what is no file; a link counts as what it leads to.
fn fingerprint(path: &Path) -> Option<(u64, u64)> {
    let meta = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let mut hasher = DefaultHasher::new();
    if meta.len() <= READ_BYTES_MAX {
        let mut bytes = Vec::with_capacity(meta.len() as usize);
        File::open(path).ok()?.take(READ_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        bytes.hash(&mut hasher);
    } else {
        (meta.len(), meta.modified().ok()).hash(&mut hasher);
    }
    Some((hasher.finish(), meta.len()))
}
