//! Whether a component is older than what it is built from.

use std::fs;
use std::path::{Path, PathBuf};

use super::Watched;

/// A hint is not worth reading a whole disk.
const ENTRIES_MAX: usize = 5_000;
/// What builds, package managers and version control write.
pub(super) const WRITTEN: [&str; 7] =
    [".git", ".typecase", ".spin", "__pycache__", "dist", "node_modules", "target"];
/// What people write for people.
const PROSE: [&str; 3] = ["md", "txt", "rst"];

/// The newest source, if it is newer than the component.
pub(super) fn newer_than(component: &Path, watched: &Watched) -> Option<PathBuf> {
    let built = fs::metadata(component).and_then(|meta| meta.modified()).ok()?;
    let mut newest = None;
    let mut folders = vec![watched.sources.clone()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > ENTRIES_MAX {
                return newest.map(|(_, path)| path);
            }
            let (path, name) = (entry.path(), entry.file_name());
            let Ok(kind) = entry.file_type() else { continue };
            let is_hidden = name.to_string_lossy().starts_with('.');
            // Assets are packed as they are, and so is the manifest.
            let is_packed = watched.assets.as_ref() == Some(&path) || path == watched.manifest_file;
            if is_hidden || is_packed || WRITTEN.iter().any(|written| name == *written) {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if !kind.is_file() || extension == "wasm" || PROSE.contains(&extension) {
                continue;
            }
            let Ok(changed) = entry.metadata().and_then(|meta| meta.modified()) else { continue };
            if changed > built && newest.as_ref().is_none_or(|(newest, _)| changed > *newest) {
                newest = Some((changed, path));
            }
        }
    }
    newest.map(|(_, path)| path)
}
