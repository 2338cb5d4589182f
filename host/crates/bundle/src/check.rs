//! From an untrusted archive to a [`CheckedBundle`].
//!
//! Nothing is written before everything was judged: first the directory at the archive's end, then each
//! entry's path and declared size, then every byte by inflating it once and counting.

mod directory;
mod entries;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use typecase_model::Manifest;
use typecase_model::manifest::{MANIFEST_BYTES_MAX, MANIFEST_FILE};
use zip::read::{ArchiveOffset, Config, ZipArchive};
use zip::result::ZipError;

pub(crate) use self::entries::RATIO_FREE_BYTES;
use self::entries::{Entries, Entry};
use crate::assets::Writer;
use crate::{BundleError, BundlePolicy};

type Archive = ZipArchive<BufReader<File>>;

/// A bundle whose every byte was found acceptable.
pub struct CheckedBundle {
    pub manifest: Manifest,
    path: PathBuf,
    entries: Entries,
    // Reading an entry moves the file's position, so only one may be read at a time.
    archive: Mutex<Archive>,
}

/// Opens and judges a bundle that someone uploaded.
pub fn check(path: &Path, policy: &BundlePolicy) -> Result<CheckedBundle, BundleError> {
    let io = |action| move |source| BundleError::Io { action, path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io("open"))?;
    let bytes = file.metadata().map_err(io("look at"))?.len();
    if bytes > policy.bundle_bytes_max {
        return Err(BundleError::TooLarge { bytes, max: policy.bundle_bytes_max });
    }
    let count = directory::check(&mut file, bytes, policy, path)?;

    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let mut archive =
        ZipArchive::with_config(config, BufReader::new(file)).map_err(|error| from_zip(error, None, path))?;
    // An entry may carry a second name in an extra field, which the library prefers.
    if archive.has_duplicate_names() || archive.len() as u64 != count {
        return Err(BundleError::Corrupt {
            entry: None,
            detail: "two entries have the same name".to_owned(),
        });
    }
    let entries = entries::judge(&archive, bytes, policy)?;
    archive.validate_header_consistency().map_err(|error| from_zip(error, None, path))?;

    let manifest = read_manifest(&mut archive, &entries, path)?;
    entries.match_manifest(&manifest, policy)?;
    for entry in entries.all() {
        copy_entry(&mut archive, entry, &mut io::sink(), path)?;
    }
    Ok(CheckedBundle { manifest, path: path.to_owned(), entries, archive: Mutex::new(archive) })
}

impl CheckedBundle {
    /// The component's bytes.
    pub fn component(&self) -> Result<Option<Vec<u8>>, BundleError> {
        let Some(entry) = &self.entries.component else { return Ok(None) };
        // The declared size is within the policy, and was true when the bundle was checked.
        let mut bytes = Vec::with_capacity(usize::try_from(entry.bytes).unwrap_or(0));
        copy_entry(&mut self.archive(), entry, &mut bytes, &self.path)?;
        Ok(Some(bytes))
    }

    /// How many files there are below `assets/`.
    pub fn assets_len(&self) -> usize {
        self.entries.assets.len()
    }

    pub fn has_assets(&self) -> bool {
        !self.entries.assets.is_empty()
    }

    /// Writes all assets into one file, and an index of it into another; both are on disk when it returns.
    ///
    /// One file an app, instead of thousands, is what makes publishing and idling cheap.
    pub fn write_assets(&self, blob: &Path, index: &Path) -> Result<(), BundleError> {
        let mut archive = self.archive();
        let mut writer = Writer::create(blob, index)?;
        for (asset_path, entry) in &self.entries.assets {
            writer.add(asset_path, |sink| copy_entry(&mut archive, entry, sink, &self.path))?;
        }
        writer.finish()
    }

    fn archive(&self) -> MutexGuard<'_, Archive> {
        // Each read starts with a seek, so a panic in another one leaves nothing half-done.
        self.archive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_manifest(archive: &mut Archive, entries: &Entries, path: &Path) -> Result<Manifest, BundleError> {
    let entry = entries.manifest.as_ref().ok_or(BundleError::ManifestMissing)?;
    if entry.bytes > MANIFEST_BYTES_MAX as u64 {
        // The parser says the same, but only of what was read already.
        return Err(BundleError::Corrupt {
            entry: Some(MANIFEST_FILE.to_owned()),
            detail: format!("a manifest has at most {MANIFEST_BYTES_MAX} bytes, this one {}", entry.bytes),
        });
    }
    let mut bytes = Vec::new();
    copy_entry(archive, entry, &mut bytes, path)?;
    let text = String::from_utf8(bytes).map_err(|error| BundleError::Corrupt {
        entry: Some(MANIFEST_FILE.to_owned()),
        detail: format!("the manifest is not UTF-8 text (byte {})", error.utf8_error().valid_up_to()),
    })?;
    Ok(Manifest::parse(&text, MANIFEST_FILE)?)
}

/// Inflates one entry and refuses it when it has not exactly the size that was judged.
fn copy_entry(
    archive: &mut Archive,
    entry: &Entry,
    sink: &mut dyn io::Write,
    path: &Path,
) -> Result<(), BundleError> {
    const CHUNK_BYTES: usize = 64 * 1024;
    let name = || entry.name.clone();
    let mut reader = archive.by_index(entry.index).map_err(|error| from_zip(error, Some(name()), path))?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut copied = 0;
    loop {
        let count = match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(from_zip(ZipError::Io(error), Some(name()), path)),
        };
        copied += count as u64;
        if copied > entry.bytes {
            break;
        }
        sink.write_all(&chunk[..count]).map_err(|source| BundleError::Io {
            action: "write the content of",
            path: path.to_owned(),
            source,
        })?;
    }
    if copied == entry.bytes {
        Ok(())
    } else {
        Err(BundleError::SizeMismatch { path: name(), declared: entry.bytes, actual: copied })
    }
}

fn from_zip(error: ZipError, entry: Option<String>, path: &Path) -> BundleError {
    match error {
        ZipError::Io(source) => match source.kind() {
            io::ErrorKind::UnexpectedEof => BundleError::Truncated {
                detail: match entry {
                    Some(entry) => format!("it ends within entry `{entry}`"),
                    None => "it ends too early".to_owned(),
                },
            },
            // So the zip and deflate readers report what is wrong with the data rather than the disk.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
                BundleError::Corrupt { entry, detail: source.to_string() }
            }
            _ => BundleError::Io { action: "read", path: path.to_owned(), source },
        },
        other => BundleError::Corrupt { entry, detail: other.to_string() },
    }
}
