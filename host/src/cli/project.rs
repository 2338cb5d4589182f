//! A project folder: its manifest, the command that builds it, and what a bundle is packed from.

mod artifacts;
mod bare;
mod build;
mod running;
mod sources;
mod spin;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use typecase_bundle::{BUNDLE_BYTES_MAX, PackError, Plan};
use typecase_model::manifest::{MANIFEST_FILE, SPIN_MANIFEST_FILE};
use typecase_model::{AppName, Manifest};

use super::failure::{Exit, Failure};
use super::local_bundle::{self, LocalBundle};
use super::report::Shown;

pub use build::{BuildFailed, BuildOutput, Built};

/// A folder with a manifest that was read and found well-formed.
#[derive(Debug, Clone)]
pub struct Project {
    folder: PathBuf,
    manifest_file: PathBuf,
    /// As it goes into the bundle.
    text: String,
    manifest: Manifest,
}

/// What a change of which matters to a project: paths as the project's own was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Read again, and then everything below may be different.
    pub manifest_file: PathBuf,
    /// Below this folder lie the sources.
    pub sources: PathBuf,
    /// Of `[build] watch`, relative to `sources`: `*` and `?` within a name, `**` across folders. None: everything but
    /// what builds and package managers write.
    pub patterns: Vec<String>,
    pub component: Option<PathBuf>,
    pub assets: Option<PathBuf>,
}

impl Project {
    /// Reads the manifest of a folder, a Spin project's too; the manifest's own path will do as well.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let named = path.file_name().is_some_and(|name| name == MANIFEST_FILE || name == SPIN_MANIFEST_FILE);
        let folder = match (named, path.parent()) {
            (true, Some(folder)) if path.is_file() => non_empty(folder),
            _ => path,
        };
        let meta = std::fs::metadata(folder).map_err(|error| not_there(path, &error.to_string()))?;
        if !meta.is_dir() {
            return Err(not_there(path, "not a folder: give the one that has the typecase.toml"));
        }
        let wants_spin = path.ends_with(SPIN_MANIFEST_FILE) || !folder.join(MANIFEST_FILE).exists();
        if wants_spin && folder.join(SPIN_MANIFEST_FILE).is_file() {
            return spin::open(folder);
        }
        let (text, manifest) = typecase_bundle::read_manifest(folder).map_err(|error| match error {
            PackError::ManifestMissing { .. } => no_manifest(folder),
            error => local_bundle::refused(&error),
        })?;
        let manifest_file = folder.join(MANIFEST_FILE);
        Ok(Self { folder: folder.to_owned(), manifest_file, text, manifest })
    }

    /// A component without a manifest; it is called as it is said, or like its file.
    pub fn of_component(path: &Path, name: Option<&AppName>) -> Result<Self, Failure> {
        bare::open(path, name)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The file that the author edits.
    pub fn manifest_file(&self) -> &Path {
        &self.manifest_file
    }

    /// Where the component is, or will be once it is built.
    pub fn component(&self) -> Option<PathBuf> {
        self.manifest.app.component.as_ref().map(|component| self.folder.join(component))
    }

    pub fn assets(&self) -> Option<PathBuf> {
        self.manifest.app.assets.as_ref().map(|assets| self.folder.join(assets))
    }

    /// Where the build command runs.
    pub fn workdir(&self) -> PathBuf {
        let workdir = self.manifest.build.as_ref().and_then(|build| build.workdir.as_ref());
        workdir.map_or_else(|| self.folder.clone(), |workdir| self.folder.join(workdir))
    }

    pub fn watched(&self) -> Watched {
        Watched {
            manifest_file: self.manifest_file.clone(),
            sources: self.workdir(),
            patterns: self.manifest.build.as_ref().map(|build| build.watch.clone()).unwrap_or_default(),
            component: self.component(),
            assets: self.assets(),
        }
    }

    /// What there is to pack.
    pub fn plan(&self) -> Result<Plan, Failure> {
        Plan::of_project(&self.folder, &self.text, &self.manifest)
            .map_err(|error| local_bundle::refused(&error))
    }

    /// Packs what is there, without building anything.
    pub fn pack(&self) -> Result<LocalBundle, Failure> {
        let packed = self.plan()?.pack(BUNDLE_BYTES_MAX);
        let mut bundle = local_bundle::packed(packed.map_err(|error| local_bundle::refused(&error))?)?;
        bundle.manifest = self.shown();
        Ok(bundle)
    }

    /// The manifest as its author knows it, to show findings in.
    pub fn shown(&self) -> Option<Shown> {
        // The text that goes into the bundle of a Spin project or a bare component is none that its author knows.
        if self.manifest_file.ends_with(SPIN_MANIFEST_FILE) || !self.manifest_file.is_file() {
            return None;
        }
        Some(Shown { file: self.manifest_file.display().to_string(), text: self.text.clone() })
    }

    /// A source that was changed after the component was built; none without a build command.
    pub fn newer_source(&self) -> Option<PathBuf> {
        self.manifest.build.as_ref()?;
        sources::newer_than(&self.component()?, &self.watched())
    }
}

/// The parent of a bare file name is the empty path, which no system call takes.
fn non_empty(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

fn no_manifest(folder: &Path) -> Failure {
    let detail = format!("{} has no typecase.toml: give a project's folder", folder.display());
    Failure::local(Exit::Failed, "manifest-missing", detail)
        .advise("`typecase new` makes a project; a Spin project's spin.toml will do as well".to_owned())
}

fn not_there(path: &Path, why: &str) -> Failure {
    Failure::local(Exit::Usage, "project-path", format!("{}: {why}", path.display()))
}
