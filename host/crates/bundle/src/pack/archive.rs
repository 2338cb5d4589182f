//! A zip archive that is being written, always in the same way, and no further than its limit.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::rc::Rc;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::entry::{deflated_entry, is_stored, stored_entry};
use super::{CHUNK_BYTES, PackError, density};

pub(super) struct Archive {
    zip: ZipWriter<BufWriter<Counted>>,
    /// Shared with the writer, which the zip library does not show.
    written_bytes: Rc<Cell<u64>>,
    bytes_max: u64,
}

impl Archive {
    pub(super) fn create(out: &Path, bytes_max: u64) -> Result<Self, PackError> {
        let file = File::create(out).map_err(PackError::io("create", out))?;
        let written_bytes = Rc::new(Cell::new(0));
        let counted = Counted { file, position: 0, written_bytes: written_bytes.clone() };
        Ok(Self { zip: ZipWriter::new(BufWriter::new(counted)), written_bytes, bytes_max })
    }

    /// Adds a file; false as soon as the archive has become too large, and then it is of no use any more.
    pub(super) fn add_file(&mut self, name: &str, path: &Path) -> Result<bool, PackError> {
        let stored = is_stored(name) || density::is_refused(path).map_err(PackError::io("read", path))?;
        let mut file = File::open(path).map_err(PackError::io("open", path))?;
        self.add(name, path, &mut file, if stored { stored_entry() } else { deflated_entry() })
    }

    /// Adds a text, as `add_file` does.
    pub(super) fn add_text(&mut self, name: &str, text: &str) -> Result<bool, PackError> {
        self.add(name, Path::new(name), &mut text.as_bytes(), deflated_entry())
    }

    fn add(
        &mut self,
        name: &str,
        path: &Path,
        source: &mut dyn Read,
        options: SimpleFileOptions,
    ) -> Result<bool, PackError> {
        let failed = |source| PackError::Zip { path: path.to_owned(), source };
        self.zip.start_file(name, options).map_err(failed)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let length = match source.read(&mut chunk) {
                Ok(0) => return Ok(true),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(PackError::io("read", path)(error)),
            };
            self.zip.write_all(&chunk[..length]).map_err(|error| failed(error.into()))?;
            if self.written_bytes.get() > self.bytes_max {
                return Ok(false);
            }
        }
    }

    pub(super) fn finish(self, out: &Path) -> Result<(), PackError> {
        let failed = |source| PackError::Zip { path: out.to_owned(), source };
        let mut writer = self.zip.finish().map_err(failed)?;
        writer.flush().map_err(PackError::io("write", out))
    }
}

/// Knows how long the file has become; the packer goes back in it to fill in sizes and checksums.
struct Counted {
    file: File,
    position: u64,
    written_bytes: Rc<Cell<u64>>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.write(bytes)?;
        self.position += length as u64;
        self.written_bytes.set(self.written_bytes.get().max(self.position));
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Counted {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.file.seek(to)?;
        Ok(self.position)
    }
}
