//! From what the user points at to a bundle that can be sent: a folder and a component are packed, a zip is
//! taken as it is. Whether a bundle is acceptable is judged by the server alone.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use typecase_bundle::Packed;
use typecase_model::manifest::{MANIFEST_BYTES_MAX, MANIFEST_FILE};
use typecase_model::{AppName, Digest, Manifest};

use super::failure::{Exit, Failure};

#[derive(Debug)]
pub struct LocalBundle {
    /// The name in the manifest.
    pub app: AppName,
    /// At its beginning. A packed one has no name on disk any more, so it goes when this is closed.
    pub file: File,
    pub digest: Digest,
    pub size_bytes: u64,
}

pub fn open(path: &Path, name: Option<&AppName>) -> Result<LocalBundle, Failure> {
    let shown = path.display();
    let usage = |detail: String| Err(Failure::local(Exit::Usage, "publish-path", detail));
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match (std::fs::metadata(path), extension) {
        (Err(error), _) => usage(format!("{shown}: {error}")),
        (Ok(meta), _) if meta.is_dir() => {
            packed(typecase_bundle::pack(path).map_err(|error| invalid(&error))?)
        }
        (Ok(_), "zip") => zipped(path, name),
        (Ok(_), "wasm") => match name {
            Some(name) => {
                packed(typecase_bundle::pack_component(name, path).map_err(|error| invalid(&error))?)
            }
            None => usage(format!("{shown} has no manifest: name the app with --name APP")),
        },
        (Ok(_), _) => usage(format!("{shown}: give a project folder, a .zip bundle or a .wasm component")),
    }
}

fn packed(packed: Packed) -> Result<LocalBundle, Failure> {
    let Packed { file, digest, size_bytes, manifest } = packed;
    let file: NamedTempFile = file;
    let file = file.reopen().map_err(|error| invalid(&error))?;
    Ok(LocalBundle { app: manifest.app.name, file, digest, size_bytes })
}

fn zipped(path: &Path, name: Option<&AppName>) -> Result<LocalBundle, Failure> {
    let mut file = File::open(path).map_err(|error| invalid(&error))?;
    let (digest, size_bytes) = digest(&mut file).map_err(|error| invalid(&error))?;
    file.rewind().map_err(|error| invalid(&error))?;
    let app = match name {
        Some(name) => name.clone(),
        None => manifest(&file).map_err(|failure| failure.within(path))?.app.name,
    };
    file.rewind().map_err(|error| invalid(&error))?;
    Ok(LocalBundle { app, file, digest, size_bytes })
}

fn digest(file: &mut File) -> std::io::Result<(Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut size_bytes = 0;
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok((Digest::from_bytes(hasher.finalize().into()), size_bytes)),
            length => {
                hasher.update(&piece[..length]);
                size_bytes += length as u64;
            }
        }
    }
}

fn manifest(file: &File) -> Result<Manifest, Failure> {
    let mut archive = zip::ZipArchive::new(file).map_err(|error| invalid(&error))?;
    let entry = archive.by_name(MANIFEST_FILE).map_err(|error| invalid(&error))?;
    let mut text = String::new();
    entry.take(MANIFEST_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(|error| invalid(&error))?;
    Manifest::parse(&text, MANIFEST_FILE).map_err(|error| invalid(&error))
}

/// With the causes: packing errors say what was tried, and their sources why it failed.
fn invalid(error: &dyn std::error::Error) -> Failure {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // Some errors repeat their source in their own text.
        if !text.contains(&inner_text) {
            text.push_str(&format!(": {inner_text}"));
        }
        cause = inner.source();
    }
    Failure::local(Exit::Failed, "bundle-invalid", text)
}
