//! How assets lie on the node's disk: one blob, and a JSON index of it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::BundleError;

/// Raised when the index changes; an index of another version is rebuilt from the bundle.
const INDEX_VERSION: u32 = 1;
/// Files start at multiples of this, so that copies out of the map are aligned.
const ALIGNMENT_BYTES: u64 = 8;
/// Half of a SHA-256 is still far beyond any accidental collision, and halves the header.
const ETAG_BYTES: usize = 16;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    version: u32,
    pub(super) blob_bytes: u64,
    pub(super) files: Vec<IndexFile>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IndexFile {
    pub(super) path: String,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) content_type: String,
    /// Hexadecimal digits, without the quotes of the header.
    pub(super) etag: String,
}

impl Index {
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let index: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if index.version == INDEX_VERSION {
            Ok(index)
        } else {
            Err(format!("it has version {}, expected {INDEX_VERSION}", index.version))
        }
    }
}

/// Writes blob and index of one release.
pub(crate) struct Writer {
    blob_path: PathBuf,
    index_path: PathBuf,
    blob: BufWriter<File>,
    index: Index,
}

impl Writer {
    pub(crate) fn create(blob_path: &Path, index_path: &Path) -> Result<Self, BundleError> {
        let blob = File::create(blob_path).map_err(failed("create", blob_path))?;
        Ok(Self {
            blob_path: blob_path.to_owned(),
            index_path: index_path.to_owned(),
            blob: BufWriter::new(blob),
            index: Index { version: INDEX_VERSION, blob_bytes: 0, files: Vec::new() },
        })
    }

    /// Appends the file that `copy` writes.
    pub(crate) fn add(
        &mut self,
        path: &str,
        copy: impl FnOnce(&mut dyn Write) -> Result<(), BundleError>,
    ) -> Result<(), BundleError> {
        let offset = self.index.blob_bytes.next_multiple_of(ALIGNMENT_BYTES);
        let padding = offset - self.index.blob_bytes;
        self.blob
            .write_all(&[0; ALIGNMENT_BYTES as usize][..padding as usize])
            .map_err(failed("write", &self.blob_path))?;
        let mut sink = Measured { sink: &mut self.blob, hash: Sha256::new(), length: 0 };
        copy(&mut sink)?;
        let Measured { hash, length, .. } = sink;
        let etag = hash.finalize()[..ETAG_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        self.index.blob_bytes = offset + length;
        self.index.files.push(IndexFile {
            path: path.to_owned(),
            offset,
            length,
            content_type: content_type(path),
            etag,
        });
        Ok(())
    }

    /// Brings both files to the disk.
    pub(crate) fn finish(self) -> Result<(), BundleError> {
        let blob =
            self.blob.into_inner().map_err(|error| failed("write", &self.blob_path)(error.into_error()))?;
        blob.sync_all().map_err(failed("flush", &self.blob_path))?;

        let text = serde_json::to_vec(&self.index)
            .map_err(|error| failed("encode", &self.index_path)(error.into()))?;
        let mut index = File::create(&self.index_path).map_err(failed("create", &self.index_path))?;
        index.write_all(&text).map_err(failed("write", &self.index_path))?;
        index.sync_all().map_err(failed("flush", &self.index_path))
    }
}

/// Hashes and counts what goes by.
struct Measured<'a> {
    sink: &'a mut BufWriter<File>,
    hash: Sha256,
    length: u64,
}

impl Write for Measured<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> BundleError + 'a {
    move |source| BundleError::Io { action, path: path.to_owned(), source }
}

fn content_type(path: &str) -> String {
    let guess = mime_guess::from_path(path).first_or_octet_stream();
    let is_text = guess.type_() == "text"
        || matches!(guess.subtype().as_str(), "javascript" | "json" | "xml" | "manifest")
        || guess.suffix().is_some_and(|suffix| matches!(suffix.as_str(), "xml" | "json"));
    // Without it, a browser guesses the encoding of a text by its reader's language.
    if is_text { format!("{guess}; charset=utf-8") } else { guess.to_string() }
}
