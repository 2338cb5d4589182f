//! The files of an assets folder, in the order in which they are packed.

use std::io;
use std::path::{Path, PathBuf};

use super::PackError;

/// What a file manager leaves behind, and no one means to serve.
const LEFT_BEHIND: &str = "Thumbs.db";
/// The one hidden name that is meant for others (RFC 8615).
const WELL_KNOWN: &str = ".well-known";
/// Beyond what any server accepts by default; stops a walk through a folder that was named by mistake.
const FILES_MAX: usize = 50_000;
/// Also the server's default for entries, less `assets/`.
const PATH_CHARS_MAX: usize = 505;

/// Paths within the folder, with `/`, and where each file is; sorted by path.
pub(super) fn list(root: &Path) -> Result<Vec<(String, PathBuf)>, PackError> {
    let mut files = Vec::new();
    let mut folders = vec![(String::new(), root.to_owned())];
    while let Some((prefix, folder)) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error)
                if prefix.is_empty()
                    && matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                return Err(PackError::AssetsMissing { path: root.to_owned() });
            }
            Err(source) => return Err(PackError::io("read the folder", &folder)(source)),
        };
        for entry in entries {
            let entry = entry.map_err(PackError::io("read the folder", &folder))?;
            let source = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(PackError::Name { path: source, why: "its name is not UTF-8" });
            };
            // Hidden files are for their owner: version control, editors, and `.env` with its secrets.
            if name == LEFT_BEHIND || name.starts_with('.') && name != WELL_KNOWN {
                continue;
            }
            let path = format!("{prefix}{name}");
            if name.contains('\\') || name.contains(char::is_control) {
                return Err(PackError::Name {
                    path: source,
                    why: "its name has a backslash or a control character",
                });
            }
            if path.chars().count() > PATH_CHARS_MAX {
                return Err(PackError::Name { path: source, why: "its path is too long" });
            }
            // Of the entry itself: a link is not followed.
            let kind = entry.file_type().map_err(PackError::io("look at", &source))?;
            if kind.is_symlink() {
                return Err(PackError::NotAFile { path: source, kind: "symbolic link" });
            } else if kind.is_dir() {
                folders.push((format!("{path}/"), source));
            } else if kind.is_file() {
                files.push((path, source));
            } else {
                return Err(PackError::NotAFile { path: source, kind: "special file" });
            }
            if files.len() + folders.len() > FILES_MAX {
                return Err(PackError::TooManyFiles { path: root.to_owned(), max: FILES_MAX });
            }
        }
    }
    if files.is_empty() {
        return Err(PackError::AssetsEmpty { path: root.to_owned() });
    }
    files.sort_unstable();
    Ok(files)
}
