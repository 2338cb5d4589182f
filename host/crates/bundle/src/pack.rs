//! From a project folder, or a bare component, to a bundle.
//!
//! The same inputs give the same bytes, and so the same digest: entries are sorted, times and
//! permissions are fixed, and each file is compressed in one fixed way.

mod archive;
mod density;
mod entry;
mod error;
mod folder;
mod plan;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use typecase_model::manifest::{MANIFEST_BYTES_MAX, MANIFEST_FILE};
use typecase_model::{AppName, Digest, Manifest};

pub use self::error::{LargeFile, PackError};
pub use self::plan::Plan;

const CHUNK_BYTES: usize = 64 * 1024;
/// The most that any operator can allow: what is larger needs a format that no server accepts.
pub const BUNDLE_BYTES_MAX: u64 = u32::MAX as u64;

/// A bundle in a temporary file that is removed with this value.
#[derive(Debug)]
pub struct Packed {
    pub file: tempfile::NamedTempFile,
    pub digest: Digest,
    pub size_bytes: u64,
    pub manifest: Manifest,
}

/// What is known of a bundle that was written to a file of the caller.
#[derive(Debug)]
pub struct Written {
    pub digest: Digest,
    pub size_bytes: u64,
    pub manifest: Manifest,
}

/// Packs the folder that has a `typecase.toml`.
pub fn pack(project_dir: &Path) -> Result<Packed, PackError> {
    let (text, manifest) = read_manifest(project_dir)?;
    Plan::of_project(project_dir, &text, &manifest)?.pack(BUNDLE_BYTES_MAX)
}

/// Writes the bundle of a bare component to `out`.
pub fn wrap_component(name: &AppName, component: &Path, out: &Path) -> Result<Written, PackError> {
    Plan::of_component(name, component)?.write(out, BUNDLE_BYTES_MAX)
}

/// The manifest of a project folder: its text, and what it says.
pub fn read_manifest(project_dir: &Path) -> Result<(String, Manifest), PackError> {
    let path = project_dir.join(MANIFEST_FILE);
    let mut bytes = Vec::new();
    match File::open(&path) {
        // One byte more than allowed is enough for the parser to refuse it.
        Ok(file) => file.take(MANIFEST_BYTES_MAX as u64 + 1).read_to_end(&mut bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(PackError::ManifestMissing { folder: project_dir.to_owned() });
        }
        Err(error) => Err(error),
    }
    .map_err(PackError::io("read", &path))?;
    let text = String::from_utf8(bytes).map_err(|_| PackError::ManifestNotText { path: path.clone() })?;
    let manifest = Manifest::parse(&text, &path.display().to_string())?;
    Ok((text, manifest))
}

fn digest_of(path: &Path) -> io::Result<(Digest, u64)> {
    // Read again, because the packer went back to fill in sizes and checksums.
    let mut file = BufReader::with_capacity(CHUNK_BYTES, File::open(path)?);
    let mut hash = Sha256::new();
    let mut size_bytes = 0;
    loop {
        let chunk = file.fill_buf()?;
        if chunk.is_empty() {
            return Ok((Digest::from_bytes(hash.finalize().into()), size_bytes));
        }
        hash.update(chunk);
        let count = chunk.len();
        size_bytes += count as u64;
        file.consume(count);
    }
}
