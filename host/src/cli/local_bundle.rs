//! A bundle that can be sent: one that was packed here, or a zip, which is taken as it is.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempPath;
use typecase_bundle::{PackError, Packed};
use typecase_model::manifest::{MANIFEST_BYTES_MAX, MANIFEST_FILE};
use typecase_model::{AppName, Digest, Manifest};

use super::failure::{Exit, Failure};
use super::report::Shown;

#[derive(Debug)]
pub struct LocalBundle {
    /// The name in the manifest, or the one that was given instead.
    pub app: AppName,
    /// At its beginning.
    pub file: File,
    pub path: PathBuf,
    pub digest: Digest,
    pub size_bytes: u64,
    /// To show findings in; none where the author wrote no manifest.
    pub manifest: Option<Shown>,
    /// A packed bundle disappears with this value.
    temporary: Option<TempPath>,
}

impl LocalBundle {
    /// For whoever needs no path any more: what was packed is read from the open file, and nothing stays behind
    /// however this process ends.
    pub fn unlink(&mut self) {
        self.temporary = None;
    }
}

pub(super) fn packed(packed: Packed) -> Result<LocalBundle, Failure> {
    let Packed { file, digest, size_bytes, manifest } = packed;
    let opened = file.reopen().map_err(|error| invalid(&error))?;
    let temporary = file.into_temp_path();
    let path = temporary.to_path_buf();
    Ok(LocalBundle {
        app: manifest.app.name,
        file: opened,
        path,
        digest,
        size_bytes,
        manifest: None,
        temporary: Some(temporary),
    })
}

/// Why a project cannot be packed, in the server's words where it has some for the same thing.
pub(super) fn refused(error: &PackError) -> Failure {
    let mut failure = invalid(error);
    failure.document["code"] = error.code().into();
    if let problems @ [_, _, ..] = error.problems() {
        let problems =
            problems.iter().map(|error| json!({ "code": error.code(), "message": error.to_string() }));
        failure.document["problems"] = problems.collect();
    }
    failure
}

pub(super) fn zipped(path: &Path, name: Option<&AppName>) -> Result<LocalBundle, Failure> {
    let mut file = File::open(path).map_err(|error| invalid(&error))?;
    let (digest, size_bytes) = digest(&mut file).map_err(|error| invalid(&error))?;
    file.rewind().map_err(|error| invalid(&error))?;
    let text = manifest_text(&file).map_err(|failure| failure.within(path));
    let app = match name {
        Some(name) => name.clone(),
        None => {
            let parsed = Manifest::parse(text.as_ref().map_err(Failure::clone)?, MANIFEST_FILE);
            parsed.map_err(|error| invalid(&error).within(path))?.app.name
        }
    };
    file.rewind().map_err(|error| invalid(&error))?;
    // What is wrong with the archive is the server's to say.
    let manifest = text.ok().map(|text| Shown { file: MANIFEST_FILE.to_owned(), text });
    Ok(LocalBundle { app, file, path: path.to_owned(), digest, size_bytes, manifest, temporary: None })
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

fn manifest_text(file: &File) -> Result<String, Failure> {
    let mut archive = zip::ZipArchive::new(file).map_err(|error| invalid(&error))?;
    let entry = archive.by_name(MANIFEST_FILE).map_err(|error| match error {
        zip::result::ZipError::FileNotFound => no_manifest(),
        error => invalid(&error),
    })?;
    let mut text = String::new();
    entry.take(MANIFEST_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(|error| invalid(&error))?;
    Ok(text)
}

fn no_manifest() -> Failure {
    let detail = format!(
        "the bundle has no {MANIFEST_FILE} at its top: pack the project's files without a folder around them, or publish the folder"
    );
    Failure::local(Exit::Failed, "manifest-missing", detail)
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
