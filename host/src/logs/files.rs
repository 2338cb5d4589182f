//! The files: one JSON object a line, turned over by size, written by a thread of its own.
//!
//! A disk that is full, slow or gone costs entries in the files, which are counted, and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::SystemTime;

use typecase_model::{AppName, EntryLevel, EntrySource, LogEntry};

use super::Record;

/// Batches that wait for the disk.
const BATCHES_MAX: usize = 16;

/// Apps that have files here; of more, those that were quiet longest lose theirs.
const APPS_MAX: usize = 2_000;

/// Lines of several apps, in order for each of them.
#[derive(Default)]
pub struct Batch {
    apps: HashMap<AppName, Lines>,
    bytes: usize,
}

#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    count: u64,
}

impl Batch {
    pub fn add(&mut self, app: &AppName, line: &[u8]) {
        let lines = self.apps.entry(app.clone()).or_default();
        lines.bytes.extend_from_slice(line);
        lines.count += 1;
        self.bytes += line.len();
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Hands batches to the thread; dropping it ends the thread after the last one.
pub struct FileWriter {
    batches: SyncSender<Batch>,
    /// Of batches that the thread could not take.
    lost: BTreeMap<AppName, u64>,
}

impl FileWriter {
    pub fn start(mut files: Files) -> io::Result<(Self, JoinHandle<()>)> {
        let (batches, receiver): (_, Receiver<Batch>) = sync_channel(BATCHES_MAX);
        let thread = std::thread::Builder::new().name("app-log-files".into()).spawn(move || {
            for batch in receiver {
                files.write(batch);
            }
        })?;
        Ok((Self { batches, lost: BTreeMap::new() }, thread))
    }

    pub fn write(&mut self, mut batch: Batch) {
        for (app, count) in std::mem::take(&mut self.lost) {
            // Told as lost by whoever writes the app's file.
            batch.apps.entry(app).or_default().count += count;
        }
        if let Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) =
            self.batches.try_send(batch)
        {
            for (app, lines) in batch.apps {
                *self.lost.entry(app).or_default() += lines.count;
            }
        }
    }
}

/// The folder and its rules.
pub struct Files {
    folder: PathBuf,
    bytes_max: u64,
    files: u32,
    node: String,
    /// Lines of each app that are in no file.
    lost: BTreeMap<AppName, u64>,
    failing: bool,
}

impl Files {
    pub fn new(folder: PathBuf, bytes_max: u64, files: u32, node: &str) -> Self {
        Self { folder, bytes_max, files, node: node.to_owned(), lost: BTreeMap::new(), failing: false }
    }

    fn write(&mut self, batch: Batch) {
        for (app, lines) in batch.apps {
            let in_bytes = lines.bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
            let lost = self.lost.remove(&app).unwrap_or(0) + (lines.count - in_bytes);
            let written = match self.told_lost(&app, lost) {
                None => self.append(&app, &lines.bytes),
                Some(told) => self.append(&app, &[&*told.line, &lines.bytes].concat()),
            };
            match written {
                Ok(()) if self.failing => {
                    self.failing = false;
                    tracing::info!("the logs of apps are written to files again");
                }
                Ok(()) => {}
                Err(error) => {
                    self.lost.insert(app, lost + in_bytes);
                    // Once: a full disk must not fill the other log.
                    if !std::mem::replace(&mut self.failing, true) {
                        let folder = self.folder.display();
                        tracing::error!(
                            "the logs of apps cannot be written to {folder}, only the newest entries are kept: {error}"
                        );
                    }
                }
            }
        }
    }

    /// What the file says in place of entries that it lacks.
    fn told_lost(&self, app: &AppName, lost: u64) -> Option<Record> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let entry = LogEntry {
            time_us: now.as_micros() as i64,
            level: EntryLevel::Warn,
            source: EntrySource::Host,
            app: app.clone(),
            release: 0,
            request_id: "".into(),
            message: format!("{lost} entries are not in this file: the disk was full, slow or away"),
            context: None,
            error_code: None,
        };
        (lost > 0).then(|| Record::of(&entry, &self.node))
    }

    fn append(&self, app: &AppName, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let path = current(&self.folder, app);
        let mut file = match OpenOptions::new().append(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(&path)?,
            Err(error) => return Err(error),
        };
        let mut length = file.metadata()?.len();
        if length > 0 && length + bytes.len() as u64 > self.bytes_max {
            self.turn_over(&path)?;
            file = self.create(&path)?;
            length = 0;
        }
        let written = file.write_all(bytes);
        if written.is_err() {
            // Half a line would spoil the next one.
            let _ = file.set_len(length);
        }
        written
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        std::fs::create_dir_all(&self.folder)?;
        self.make_room()?;
        OpenOptions::new().create(true).append(true).open(path)
    }

    fn turn_over(&self, path: &Path) -> io::Result<()> {
        if self.files <= 1 {
            return std::fs::remove_file(path);
        }
        for number in (1..self.files).rev() {
            let from = numbered(path, number - 1);
            match std::fs::rename(&from, numbered(path, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes the files of the app that was quiet longest when there are too many.
    fn make_room(&self) -> io::Result<()> {
        let mut apps: BTreeSet<(SystemTime, PathBuf)> = BTreeSet::new();
        for entry in std::fs::read_dir(&self.folder)?.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                apps.insert((entry.metadata()?.modified()?, path));
            }
        }
        let too_many = (apps.len() + 1).saturating_sub(APPS_MAX);
        for (_, path) in apps.into_iter().take(too_many) {
            for number in 0..self.files {
                let _ = std::fs::remove_file(numbered(&path, number));
            }
        }
        Ok(())
    }
}

const EXTENSION: &str = "jsonl";

fn current(folder: &Path, app: &AppName) -> PathBuf {
    folder.join(format!("{app}.{EXTENSION}"))
}

/// The file itself is number 0, the ones before it count upwards.
fn numbered(path: &Path, number: u32) -> PathBuf {
    match number {
        0 => path.to_owned(),
        _ => path.with_extension(format!("{EXTENSION}.{number}")),
    }
}

/// All files of an app that there may be, newest first.
pub fn paths(folder: &Path, app: &AppName, files: u32) -> Vec<PathBuf> {
    let current = current(folder, app);
    (0..files).map(|number| numbered(&current, number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> AppName {
        name.parse().unwrap()
    }

    fn batch(app: &AppName, numbers: std::ops::Range<i64>) -> Batch {
        let mut batch = Batch::default();
        numbers.for_each(|n| batch.add(app, &Record::for_test(n, &format!("entry {n}")).line));
        batch
    }

    fn lines(path: &Path) -> Vec<String> {
        std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    #[test]
    fn files_are_turned_over_by_size_and_count() {
        let folder = tempfile::tempdir().unwrap();
        let shop = app("shop");
        let mut files = Files::new(folder.path().join("apps"), 4_000, 3, "node-a");
        for n in 0..20 {
            files.write(batch(&shop, n * 10..n * 10 + 10));
        }
        let paths = paths(&folder.path().join("apps"), &shop, 3);
        let kept: Vec<String> = paths.iter().rev().flat_map(|path| lines(path)).collect();
        assert_eq!(std::fs::read_dir(folder.path().join("apps")).unwrap().count(), 3);
        for path in &paths {
            assert!(std::fs::metadata(path).unwrap().len() <= 4_000);
        }
        // Without a gap, up to the newest.
        let last: Vec<usize> = (200 - kept.len()..200).collect();
        for (line, n) in kept.iter().zip(last) {
            assert!(line.contains(&format!("\"entry {n}\"")), "{n}: {line}");
        }
        let one = Files::new(folder.path().join("one"), 100, 1, "node-a");
        one.append(&shop, b"a\n").unwrap();
        one.append(&shop, &[b'b'; 100]).unwrap();
        assert_eq!(std::fs::read(folder.path().join("one/shop.jsonl")).unwrap(), [b'b'; 100]);
    }

    #[test]
    fn what_could_not_be_written_is_counted_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (place, shop) = (folder.path().join("apps"), app("shop"));
        // Something else is where the folder should be.
        std::fs::write(&place, "").unwrap();
        let mut files = Files::new(place.clone(), 1 << 20, 2, "node-a");
        files.write(batch(&shop, 0..3));
        files.write(batch(&shop, 3..5));
        assert!(files.failing);
        std::fs::remove_file(&place).unwrap();
        files.write(batch(&shop, 5..6));
        assert!(!files.failing);
        let lines = lines(&place.join("shop.jsonl"));
        assert!(lines[0].contains("5 entries are not in this file"), "{lines:?}");
        assert!(lines[1].contains("\"entry 5\"") && lines.len() == 2, "{lines:?}");
    }

    #[test]
    fn a_disk_that_hangs_costs_lines_and_nothing_else() {
        // Nobody takes the batches.
        let (batches, receiver) = sync_channel(BATCHES_MAX);
        let mut writer = FileWriter { batches, lost: BTreeMap::new() };
        let shop = app("shop");
        for n in 0..100 {
            writer.write(batch(&shop, n..n + 1));
        }
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::new(folder.path().to_owned(), 1 << 20, 2, "node-a");
        for batch in receiver.try_iter() {
            files.write(batch);
        }
        writer.write(batch(&shop, 100..101));
        receiver.try_iter().for_each(|batch| files.write(batch));
        let lines = lines(&folder.path().join("shop.jsonl"));
        assert_eq!(lines.len(), BATCHES_MAX + 2);
        let lost = format!("{} entries are not in this file", 100 - BATCHES_MAX);
        assert!(lines[BATCHES_MAX].contains(&lost), "{}", lines[BATCHES_MAX]);
    }
}
