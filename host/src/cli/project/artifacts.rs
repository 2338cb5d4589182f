//! Where toolchains leave components: what to name in a manifest that names the wrong file.

use std::path::Path;

/// Deep enough for `target/wasm32-wasip2/release/app.wasm`.
const DEPTH_MAX: usize = 4;
/// A hint is not worth reading a whole disk.
const ENTRIES_MAX: usize = 2_000;
/// More is no hint.
const FOUND_MAX: usize = 3;
/// Deep, and full of Wasm files that are nobody's app.
const SKIPPED: [&str; 5] = [".git", "node_modules", "deps", "incremental", ".fingerprint"];

/// Paths of `.wasm` files below a folder, relative to it, the newest first.
pub(super) fn find(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![(root.to_owned(), 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            seen += 1;
            if seen > ENTRIES_MAX {
                break;
            }
            let (path, name) = (entry.path(), entry.file_name());
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && depth < DEPTH_MAX && !SKIPPED.iter().any(|skipped| name == *skipped) {
                folders.push((path, depth + 1));
            } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "wasm") {
                let changed = entry.metadata().and_then(|meta| meta.modified()).ok();
                found.push((changed, path));
            }
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    let shown = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    found.iter().take(FOUND_MAX).map(|(_, path)| shown(path)).collect()
}
