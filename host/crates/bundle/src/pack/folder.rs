//! The files of an assets folder, in the order in which they are packed.

use std::fs::{DirEntry, FileType};
use std::io;
use std::path::{Path, PathBuf};

use super::PackError;

/// What a file manager leaves behind, and no one means to serve.
const LEFT_BEHIND: &str = "Thumbs.db";
/// The one hidden name that is meant for others (RFC 8615).
const WELL_KNOWN: &str = ".well-known";
/// The server's limit for entries, less `assets/`.
const PATH_CHARS_MAX: usize = 505;
/// Files that are reported one by one: nobody reads more at once.
const PROBLEMS_MAX: usize = 20;

/// A file that is to be served.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AssetFile {
    /// Within the folder, with `/`.
    pub(super) path: String,
    pub(super) source: PathBuf,
    pub(super) bytes: u64,
}

/// What a walk has met so far.
#[derive(Default)]
struct Walk {
    files: Vec<AssetFile>,
    /// Paths within the assets folder that end with `/`, and where they are.
    folders: Vec<(String, PathBuf)>,
    problems: Vec<PackError>,
    problem_count: usize,
}

/// All files, sorted by path; whatever cannot be packed is reported at once. The walk ends at `files_max`, so that a
/// folder which was named by mistake costs little.
pub(super) fn list(root: &Path, files_max: usize) -> Result<Vec<AssetFile>, PackError> {
    let mut walk = Walk::default();
    walk.folders.push((String::new(), root.to_owned()));
    while let Some((prefix, folder)) = walk.folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error)
                if prefix.is_empty()
                    && matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                return Err(PackError::AssetsMissing { path: root.to_owned() });
            }
            Err(error) => {
                walk.problem(PackError::io("read the folder", &folder)(error));
                continue;
            }
        };
        for entry in entries {
            let entry = entry.map_err(PackError::io("read the folder", &folder))?;
            if let Err(problem) = walk.meet(&prefix, &entry) {
                walk.problem(problem);
            }
            if walk.files.len() + walk.folders.len() + walk.problem_count > files_max {
                return Err(PackError::TooManyFiles { path: root.to_owned(), max: files_max });
            }
        }
    }
    let Walk { mut files, mut problems, problem_count, .. } = walk;
    match problem_count {
        0 if files.is_empty() => return Err(PackError::AssetsEmpty { path: root.to_owned() }),
        0 => {}
        1 => return Err(problems.remove(0)),
        count => return Err(PackError::Several { problems, count }),
    }
    files.sort_unstable();
    Ok(files)
}

impl Walk {
    fn problem(&mut self, problem: PackError) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }

    fn meet(&mut self, prefix: &str, entry: &DirEntry) -> Result<(), PackError> {
        let source = entry.path();
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(PackError::Name { path: source, why: "its name is not UTF-8" });
        };
        // Hidden files are for their owner: version control, editors, and `.env` with its secrets.
        if name == LEFT_BEHIND || name.starts_with('.') && name != WELL_KNOWN {
            return Ok(());
        }
        let path = format!("{prefix}{name}");
        if name.contains('\\') || name.contains(char::is_control) {
            let why = "its name has a backslash or a control character";
            return Err(PackError::Name { path: source, why });
        }
        if path.chars().count() > PATH_CHARS_MAX {
            return Err(PackError::Name { path: source, why: "its path is too long" });
        }
        // Of the entry itself: a link is not followed.
        let meta = entry.metadata().map_err(PackError::io("look at", &source))?;
        if meta.is_dir() {
            self.folders.push((format!("{path}/"), source));
        } else if meta.is_file() {
            self.files.push(AssetFile { path, source, bytes: meta.len() });
        } else {
            return Err(PackError::NotAFile { path: source, kind: kind(meta.file_type()) });
        }
        Ok(())
    }
}

fn kind(of: FileType) -> &'static str {
    if of.is_symlink() { "symbolic link" } else { "special file" }
}
