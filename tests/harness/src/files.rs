//! What lies in a folder, to be compared with what lies there later.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

/// Every file below a folder with a hash of its content; a folder that is not there is empty.
pub fn listing(folder: &Path) -> BTreeMap<PathBuf, u64> {
    below(folder)
        .into_iter()
        .map(|path| {
            let mut hasher = DefaultHasher::new();
            fs::read(&path).unwrap_or_default().hash(&mut hasher);
            (path, hasher.finish())
        })
        .collect()
}

/// The paths of all files below a folder, in order.
pub fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_path_buf()];
    while let Some(folder) = left.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => left.push(entry.path()),
                _ => found.push(entry.path()),
            }
        }
    }
    found.sort();
    found
}

/// The files below a folder whose names end like this.
pub fn ending(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut files = below(folder);
    files.retain(|path| path.to_string_lossy().ends_with(end));
    files
}

/// Changes one byte in the middle of a file.
pub fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x5a;
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
