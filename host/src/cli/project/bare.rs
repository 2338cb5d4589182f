//! A component that somebody else builds: a project whose manifest says no more than its name.

use std::path::Path;

use typecase_model::manifest::MANIFEST_FILE;
use typecase_model::{AppName, Manifest};

use super::{Project, non_empty, not_there};
use crate::cli::failure::{Exit, Failure};

/// The name is the file's, where that is one.
pub(super) fn open(path: &Path, name: Option<&AppName>) -> Result<Project, Failure> {
    if let Err(error) = std::fs::metadata(path) {
        return Err(not_there(path, &error.to_string()));
    }
    let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
    let stem = file.trim_end_matches(".wasm").to_ascii_lowercase().replace(['_', '.', ' '], "-");
    let name = match name {
        Some(name) => name.clone(),
        None => stem.parse().map_err(|_| {
            let detail = format!(
                "{}: the file's name is not one for an app: give one with --name APP",
                path.display()
            );
            Failure::local(Exit::Usage, "project-path", detail)
        })?,
    };
    let mut manifest = Manifest::for_component(name);
    manifest.app.component = Some(file.to_owned());
    let text = manifest
        .to_toml()
        .map_err(|error| Failure::local(Exit::Failed, "manifest-unsupported", error.to_string()))?;
    let folder = non_empty(path.parent().unwrap_or(Path::new("."))).to_owned();
    let manifest_file = folder.join(MANIFEST_FILE);
    Ok(Project { folder, manifest_file, text, manifest })
}
