//! Whether a component is older than what it is made from.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;

/// What package managers and compilers write.
const WRITTEN: &[&str] = &["node_modules", "__pycache__"];

/// Whether there is a component in the folder, and nothing else in it is newer.
pub fn is_current(folder: &Path) -> Result<bool> {
    let mut built: Option<SystemTime> = None;
    let mut changed = SystemTime::UNIX_EPOCH;
    let mut left = vec![folder.to_path_buf()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            // `typecase build` and `typecase dev` keep theirs in a hidden folder.
            if name.starts_with('.') || WRITTEN.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let modified = fs::metadata(&path)?.modified()?;
            if path.extension().is_some_and(|extension| extension == "wasm") {
                built = built.max(Some(modified));
            } else {
                changed = changed.max(modified);
            }
        }
    }
    Ok(built.is_some_and(|built| built >= changed))
}
