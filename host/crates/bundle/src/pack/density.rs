//! Files that would be taken for a bomb: what grows too much when it is unpacked is refused by servers, so it is packed as
//! it is.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use zip::ZipWriter;

use super::{CHUNK_BYTES, entry};
use crate::BundlePolicy;
use crate::check::RATIO_FREE_BYTES;

/// A sample that shrinks this much calls for a look at the whole; with an entry's own 150 bytes no sample can do much better.
const SAMPLE_RATIO: u64 = 100;

pub(super) fn is_refused(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    if bytes <= RATIO_FREE_BYTES {
        return Ok(false);
    }
    let last = bytes - CHUNK_BYTES as u64;
    for start in [0, last / 2, last] {
        file.seek(SeekFrom::Start(start))?;
        let sample = CHUNK_BYTES as u64;
        if shrinks(&mut Read::by_ref(&mut file).take(sample), sample, SAMPLE_RATIO)? {
            file.rewind()?;
            // Some way from what servers allow, because they count differently.
            let ratio = u64::from(BundlePolicy::default().expansion_ratio_max) * 3 / 4;
            return shrinks(&mut file, bytes, ratio);
        }
    }
    Ok(false)
}

/// Whether so many bytes become that many times fewer.
fn shrinks(source: &mut dyn Read, bytes: u64, ratio: u64) -> io::Result<bool> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("", entry::deflated_entry())?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match source.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => zip.write_all(&chunk[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
    }
    Ok(zip.finish()?.into_inner().len() as u64 <= bytes / ratio)
}
