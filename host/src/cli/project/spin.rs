//! A Spin project: its `spin.toml` is read as a manifest, and the bundle gets one of ours that says the same.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use typecase_model::Manifest;
use typecase_model::manifest::{MANIFEST_BYTES_MAX, SPIN_MANIFEST_FILE};

use super::Project;
use crate::cli::failure::{Exit, Failure};

pub(super) fn open(folder: &Path) -> Result<Project, Failure> {
    let path = folder.join(SPIN_MANIFEST_FILE);
    let text = read(&path).map_err(|error| {
        let detail = format!("cannot read {}: {error}", path.display());
        Failure::local(Exit::Failed, "manifest-invalid", detail)
    })?;
    let refused = |detail: String| Failure::local(Exit::Failed, "manifest-unsupported", detail);
    let manifest = Manifest::parse_spin(&text, &path.display().to_string()).map_err(|error| {
        let failure = refused(error.to_string());
        failure.advise(
            "this is a Spin project; a typecase.toml beside its spin.toml takes its place here".to_owned(),
        )
    })?;
    let text = manifest.to_toml().map_err(|error| refused(error.to_string()))?;
    Ok(Project { folder: folder.to_owned(), manifest_file: path, text, manifest })
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    // One byte more than allowed is enough for the parser to refuse it.
    File::open(path)?.take(MANIFEST_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}
