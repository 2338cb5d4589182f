//! Which of a project's files have changed. The kernel says where something happened; what counts is whether a file's
//! content is another one than before. So storms of chmod, editors' temporary files and builds that write the same
//! again are no changes.

mod changes;
mod fingerprints;
mod glob;
mod inotify;
mod rules;

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

pub use changes::Changes;
pub use rules::Watching;

use fingerprints::Fingerprints;
use inotify::{Happening, Inotify};
use rules::Rules;

/// Editors write, rename and write again within a few milliseconds.
const QUIET: Duration = Duration::from_millis(20);
/// What goes on for longer, a checkout of another branch for example, is looked at in between.
const QUIET_WAIT_MAX: Duration = Duration::from_millis(300);

/// Watches the files of a project. Dropping a future of it loses nothing.
#[derive(Debug)]
pub struct Watcher {
    inotify: Inotify,
    rules: Rules,
    seen: Fingerprints,
    /// Where something happened that nobody has looked at yet.
    dirty: HashSet<PathBuf>,
    /// More happened than the kernel could say.
    all_dirty: bool,
}

impl Watcher {
    /// Watches from now on; what is there now is the state that changes are changes of.
    pub fn new(watching: &Watching) -> io::Result<Self> {
        let rules = Rules::new(watching);
        let inotify = Inotify::new()?;
        let seen = Fingerprints::default();
        let mut watcher = Self { inotify, rules, seen, dirty: HashSet::new(), all_dirty: false };
        for file in watcher.walk_all()? {
            watcher.seen.learn(file);
        }
        Ok(watcher)
    }

    /// Watches something else, because the manifest has changed. What is new to it is taken as it is.
    pub fn follow(&mut self, watching: &Watching) -> io::Result<()> {
        self.rules.replaced(watching);
        for file in self.walk_all()? {
            if !self.seen.knows(&file) && !self.dirty.contains(&file) {
                self.seen.learn(file);
            }
        }
        Ok(())
    }

    /// Waits for changes, and until they have come to rest.
    pub async fn next(&mut self) -> io::Result<Changes> {
        loop {
            if self.dirty.is_empty() && !self.all_dirty {
                let happened = self.inotify.next().await?;
                self.note(happened)?;
                continue;
            }
            let latest = Instant::now() + QUIET_WAIT_MAX;
            loop {
                let quiet = (Instant::now() + QUIET).min(latest);
                match tokio::time::timeout_at(quiet, self.inotify.next()).await {
                    Ok(happened) => self.note(happened?)?,
                    Err(_) => break,
                }
            }
            let changes = self.judge()?;
            if !changes.is_empty() {
                return Ok(changes);
            }
        }
    }

    /// The changes until now, without waiting for more.
    pub fn changes_so_far(&mut self) -> io::Result<Changes> {
        while let Some(happened) = self.inotify.try_next()? {
            self.note(happened)?;
        }
        self.judge()
    }

    /// Leaves files out from now on.
    pub fn ignore(&mut self, changes: &Changes) {
        self.rules.ignore(changes.paths());
    }

    fn note(&mut self, happened: Happening) -> io::Result<()> {
        match happened {
            Happening::File(path) => {
                if self.rules.kind_of(&path).is_some() {
                    self.dirty.insert(path);
                }
            }
            Happening::NewFolder(path) => {
                if self.rules.wants_folder(&path) {
                    // Files may be in it already, written before it was watched.
                    let files = self.walk(path)?;
                    self.dirty.extend(files);
                }
            }
            Happening::GoneFolder(path) => self.dirty.extend(self.seen.below(&path)),
            Happening::TooMuch => self.all_dirty = true,
        }
        Ok(())
    }

    /// Which of the dirty files really are others than before.
    fn judge(&mut self) -> io::Result<Changes> {
        if std::mem::take(&mut self.all_dirty) {
            let files = self.walk_all()?;
            self.dirty.extend(files);
            self.dirty.extend(self.seen.all());
        }
        let mut changes = Changes::default();
        for path in std::mem::take(&mut self.dirty) {
            if let Some(kind) = self.rules.kind_of(&path)
                && self.seen.has_changed(&path)
            {
                changes.add(kind, self.rules.shown(&path));
            }
        }
        Ok(changes)
    }

    fn walk_all(&mut self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for root in self.rules.roots() {
            files.extend(self.walk(root)?);
        }
        Ok(files)
    }

    /// Watches a folder and all below it that may matter; gives the files that do.
    fn walk(&mut self, root: PathBuf) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let mut folders = vec![root];
        while let Some(folder) = folders.pop() {
            if !self.inotify.watch(&folder)? {
                continue;
            }
            // A folder may go while it is walked; its end is an event of its own.
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let path = entry.path();
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder && self.rules.wants_folder(&path) {
                    folders.push(path);
                } else if !is_folder && self.rules.kind_of(&path).is_some() {
                    files.push(path);
                }
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests;
