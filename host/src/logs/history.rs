//! Reads an app's files from their end, as far back as somebody wants.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Instant;

use typecase_model::AppName;

use super::{ANSWER_BYTES_MAX, Filter, Record, files};

const CHUNK_BYTES: usize = 64 * 1024;

/// An entry of the largest size, with every character escaped.
const LINE_BYTES_MAX: usize = 256 * 1024;

pub struct History {
    folder: PathBuf,
    files: u32,
}

/// Newest first.
#[derive(Debug)]
pub struct Found {
    pub records: Vec<Record>,
    /// False when time ran out.
    pub complete: bool,
}

impl History {
    pub fn new(folder: PathBuf, files: u32) -> Self {
        Self { folder, files }
    }

    /// The newest `count` entries that pass the filter and are older than `before_us`.
    pub fn newest(
        &self,
        app: &AppName,
        filter: &Filter,
        count: usize,
        before_us: Option<i64>,
        deadline: Instant,
    ) -> io::Result<Found> {
        let mut found = Found { records: Vec::new(), complete: true };
        let mut left_bytes = ANSWER_BYTES_MAX;
        for file in self.open(app)? {
            let mut lines = Backward::over(file)?;
            while let Some(line) = lines.previous()? {
                let Some(record) = Record::parse(&line) else { continue };
                if before_us.is_some_and(|before_us| record.time_us >= before_us) {
                    continue;
                }
                if filter.since_us.is_some_and(|since_us| record.time_us < since_us) {
                    return Ok(found);
                }
                if filter.matches(&record) {
                    match left_bytes.checked_sub(record.line.len()) {
                        Some(left) if found.records.len() < count => left_bytes = left,
                        _ => return Ok(found),
                    }
                    found.records.push(record);
                }
                if Instant::now() > deadline {
                    found.complete = false;
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// All files, newest first. In this order a turn-over meanwhile shows a file twice, which is noticed, but never
    /// hides one.
    fn open(&self, app: &AppName) -> io::Result<Vec<File>> {
        let mut seen = HashSet::new();
        let mut opened = Vec::new();
        for path in files::paths(&self.folder, app, self.files) {
            match File::open(&path) {
                Ok(file) => {
                    let meta = file.metadata()?;
                    if seen.insert((meta.dev(), meta.ino())) {
                        opened.push(file);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(opened)
    }
}

/// The lines of a file, last one first.
struct Backward {
    file: File,
    /// Where the buffer begins in the file.
    start: u64,
    /// Its end was given out already.
    buffer: Vec<u8>,
}

impl Backward {
    fn over(file: File) -> io::Result<Self> {
        let start = file.metadata()?.len();
        Ok(Self { file, start, buffer: Vec::new() })
    }

    fn previous(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.buffer.iter().rposition(|byte| *byte == b'\n') {
                let line = self.buffer.split_off(end + 1);
                self.buffer.truncate(end);
                return Ok(Some(line));
            }
            if self.start == 0 {
                let line = std::mem::take(&mut self.buffer);
                return Ok(Some(line).filter(|line| !line.is_empty()));
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                // No line of ours.
                self.buffer.clear();
            }
            let bytes = CHUNK_BYTES.min(self.start as usize);
            self.start -= bytes as u64;
            let mut chunk = vec![0; bytes];
            self.file.seek(SeekFrom::Start(self.start))?;
            self.file.read_exact(&mut chunk)?;
            chunk.append(&mut self.buffer);
            self.buffer = chunk;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn history(folder: &std::path::Path) -> History {
        History::new(folder.to_owned(), 3)
    }

    fn write(folder: &std::path::Path, name: &str, numbers: std::ops::Range<i64>, pad: usize) {
        let line = |n| Record::for_test(n, &format!("entry {n} {}", "x".repeat(pad))).line.to_vec();
        std::fs::write(folder.join(name), numbers.flat_map(line).collect::<Vec<u8>>()).unwrap();
    }

    fn times(found: &Found) -> Vec<i64> {
        found.records.iter().map(|record| record.time_us).collect()
    }

    #[test]
    fn files_are_read_from_the_newest_entry_back() {
        let folder = tempfile::tempdir().unwrap();
        let shop: AppName = "shop".parse().unwrap();
        write(folder.path(), "shop.jsonl.2", 0..10, 0);
        write(folder.path(), "shop.jsonl.1", 10..1_000, 1_000);
        write(folder.path(), "shop.jsonl", 1_000..1_005, 0);
        let later = Instant::now() + Duration::from_secs(600);
        let all = Filter::default();
        let newest = |filter: &Filter, count, before| {
            history(folder.path()).newest(&shop, filter, count, before, later).unwrap()
        };
        assert_eq!(times(&newest(&all, usize::MAX, None)), (0..1_005).rev().collect::<Vec<_>>());
        assert_eq!(times(&newest(&all, 3, None)), [1_004, 1_003, 1_002]);
        assert_eq!(times(&newest(&all, 2, Some(1_000))), [999, 998]);
        let since = Filter { since_us: Some(995), ..Filter::default() };
        assert_eq!(times(&newest(&since, 100, Some(1_000))), [999, 998, 997, 996, 995]);
        let over =
            history(folder.path()).newest(&shop, &all, 9, None, Instant::now() - Duration::from_secs(1));
        assert!(!over.unwrap().complete);
        let nobody = "nobody".parse().unwrap();
        assert!(history(folder.path()).newest(&nobody, &all, 9, None, later).unwrap().records.is_empty());
    }

    #[test]
    fn damage_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let shop: AppName = "shop".parse().unwrap();
        let mut bytes = Record::for_test(1, "first").line.to_vec();
        bytes.extend(b"{\"time\":\"half\n");
        bytes.extend(vec![b'z'; 2 * LINE_BYTES_MAX]);
        bytes.push(b'\n');
        bytes.extend(&*Record::for_test(2, "second").line);
        bytes.extend(&Record::for_test(3, "being written").line[..20]);
        std::fs::write(folder.path().join("shop.jsonl"), bytes).unwrap();
        let later = Instant::now() + Duration::from_secs(600);
        let found = history(folder.path()).newest(&shop, &Filter::default(), 9, None, later).unwrap();
        assert_eq!(times(&found), [2, 1]);
    }
}
