//! The archive's end, read before the zip library reads it.
//!
//! The library believes the number of entries written there and keeps memory for each, and it searches
//! for other directories when the first one fails. Both are settled here: an accepted archive has one
//! directory, it lies directly before the end record, and the end record ends the file.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::{BundleError, BundlePolicy, is_zip};

const END_BYTES: u64 = 22;
const END_MAGIC: &[u8] = b"PK\x05\x06";
const ZIP64_LOCATOR_BYTES: usize = 20;
const ZIP64_LOCATOR_MAGIC: &[u8] = b"PK\x06\x07";
const HEADER_BYTES: usize = 46;
const HEADER_MAGIC: &[u8] = b"PK\x01\x02";
/// Space in the directory for one entry's header, path and extra fields; packers need about 100 bytes.
const DIRECTORY_BYTES_PER_ENTRY_MAX: u64 = 4 * 1024;

/// Judges the end and the directory, and returns the number of entries.
pub(super) fn check(
    file: &mut File,
    bytes: u64,
    policy: &BundlePolicy,
    path: &Path,
) -> Result<u64, BundleError> {
    let io = |source| BundleError::Io { action: "read", path: path.to_owned(), source };
    let mut first = [0; 4];
    let first_bytes = usize::try_from(bytes.min(4)).unwrap_or(4);
    file.read_exact(&mut first[..first_bytes]).map_err(io)?;
    if !is_zip(&first) {
        return Err(BundleError::NotABundle {
            detail: "it does not start like a zip archive or a WebAssembly file; publish the project's folder with `typecase publish`",
        });
    }
    let truncated = || BundleError::Truncated { detail: "its directory is missing".to_owned() };
    let end_at = bytes.checked_sub(END_BYTES).ok_or_else(truncated)?;
    let mut end = [0; END_BYTES as usize];
    file.seek(SeekFrom::Start(end_at)).map_err(io)?;
    file.read_exact(&mut end).map_err(io)?;
    if !end.starts_with(END_MAGIC) {
        return Err(if has_end_earlier(file, bytes).map_err(io)? {
            BundleError::NotABundle {
                detail: "there is a comment or other data after the archive's end; pack it without",
            }
        } else {
            truncated()
        });
    }

    let count = u64::from(short(&end, 10));
    let directory_bytes = u64::from(long(&end, 12));
    let directory_at = u64::from(long(&end, 16));
    if count > u64::from(policy.entry_count_max) {
        return Err(BundleError::TooManyEntries { count, max: policy.entry_count_max });
    }
    let corrupt = |detail: &str| BundleError::Corrupt { entry: None, detail: detail.to_owned() };
    if count == u64::from(u16::MAX) || directory_at == u64::from(u32::MAX) {
        return Err(corrupt("zip64 is not accepted, and not needed within this server's limits"));
    }
    if short(&end, 4) != 0 || short(&end, 6) != 0 || u64::from(short(&end, 8)) != count {
        return Err(corrupt("an archive in several parts is not accepted"));
    }
    if short(&end, 20) != 0 || directory_at + directory_bytes != end_at {
        return Err(corrupt("its directory does not lie directly before its end"));
    }
    if directory_bytes > count * DIRECTORY_BYTES_PER_ENTRY_MAX {
        return Err(corrupt("its directory is far larger than its entries need"));
    }

    // The product above and the policy bound this allocation.
    let mut directory = vec![0; usize::try_from(directory_bytes).unwrap_or(0)];
    file.seek(SeekFrom::Start(directory_at)).map_err(io)?;
    file.read_exact(&mut directory).map_err(io)?;
    if let Some(tail) = directory.len().checked_sub(ZIP64_LOCATOR_BYTES)
        && directory[tail..].starts_with(ZIP64_LOCATOR_MAGIC)
    {
        return Err(corrupt("zip64 is not accepted, and not needed within this server's limits"));
    }
    check_names(&directory, count)?;
    file.rewind().map_err(io)?;
    Ok(count)
}

/// Walks the directory; the zip library keeps only the last of several entries of one name.
fn check_names(directory: &[u8], count: u64) -> Result<(), BundleError> {
    let corrupt = |detail: String| BundleError::Corrupt { entry: None, detail };
    let mut names = HashSet::new();
    let mut rest = directory;
    while !rest.is_empty() {
        if rest.len() < HEADER_BYTES || !rest.starts_with(HEADER_MAGIC) {
            return Err(corrupt(format!("entry {} of its directory is malformed", names.len() + 1)));
        }
        let lengths = [short(rest, 28), short(rest, 30), short(rest, 32)].map(usize::from);
        let end = HEADER_BYTES + lengths.iter().sum::<usize>();
        let name = rest
            .get(HEADER_BYTES..HEADER_BYTES + lengths[0])
            .filter(|_| end <= rest.len())
            .ok_or_else(|| corrupt(format!("entry {} of its directory is cut off", names.len() + 1)))?;
        if !names.insert(name) {
            let path = super::entries::printable(&String::from_utf8_lossy(name));
            return Err(BundleError::DuplicatePath { path });
        }
        rest = &rest[end..];
    }
    if names.len() as u64 == count {
        Ok(())
    } else {
        Err(corrupt(format!("its end says {count} entries, its directory has {}", names.len())))
    }
}

/// Whether a whole end record stands before the file's end, as in an archive with a comment.
fn has_end_earlier(file: &mut File, bytes: u64) -> std::io::Result<bool> {
    const COMMENT_BYTES_MAX: u64 = 64 * 1024;
    let from = bytes.saturating_sub(END_BYTES + COMMENT_BYTES_MAX);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(END_BYTES + COMMENT_BYTES_MAX).read_to_end(&mut tail)?;
    Ok(tail.windows(END_BYTES as usize).any(|record| record.starts_with(END_MAGIC)))
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
