//! Why a project cannot be packed.

use std::io;
use std::path::{Path, PathBuf};

use typecase_model::ManifestError;

/// Why a project cannot be packed; the text names the file and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("{} has no typecase.toml: give the folder that has one", .folder.display())]
    ManifestMissing { folder: PathBuf },
    #[error("{} is not UTF-8 text: save it as UTF-8", .path.display())]
    ManifestNotText { path: PathBuf },
    #[error("{0}")]
    Manifest(#[from] ManifestError),
    #[error("the component {} does not exist: {}", .path.display(), build_hint(.build))]
    ComponentMissing { path: PathBuf, build: Option<String> },
    #[error("{} is not WebAssembly: give the .wasm file that the toolchain wrote", .path.display())]
    NotWasm { path: PathBuf },
    #[error("the assets folder {} does not exist: create it, or correct `assets` in typecase.toml", .path.display())]
    AssetsMissing { path: PathBuf },
    #[error("the assets folder {} has no files: add some, or remove `assets` from typecase.toml", .path.display())]
    AssetsEmpty { path: PathBuf },
    #[error("the fallback {} does not exist: create it, or correct `fallback` in typecase.toml", .path.display())]
    FallbackMissing { path: PathBuf },
    #[error("{} is a {kind}, and a bundle holds plain files only: replace it by the file itself", .path.display())]
    NotAFile { path: PathBuf, kind: &'static str },
    #[error("{} cannot be packed: {why}; rename it", .path.display())]
    Name { path: PathBuf, why: &'static str },
    #[error("the assets folder {} has more than {max} files", .path.display())]
    TooManyFiles { path: PathBuf, max: usize },
    #[error("cannot pack {}: {source}", .path.display())]
    Zip { path: PathBuf, source: zip::result::ZipError },
    #[error("cannot {action} {}: {source}", .path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

impl PackError {
    /// The stable name of the error for programs; [`crate::BundleError`] has the same for the same things.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ManifestMissing { .. } => "manifest-missing",
            Self::ManifestNotText { .. } | Self::Manifest(_) => "manifest-invalid",
            Self::ComponentMissing { .. } => "component-missing",
            Self::NotWasm { .. } => "not-a-component",
            Self::AssetsMissing { .. } | Self::AssetsEmpty { .. } => "assets-missing",
            Self::FallbackMissing { .. } => "fallback-missing",
            Self::NotAFile { .. } => "bundle-symlink",
            Self::Name { .. } => "bundle-path-unsafe",
            Self::TooManyFiles { .. } => "bundle-too-many-entries",
            Self::Zip { .. } | Self::Io { .. } => "bundle-invalid",
        }
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Names the file on disk where only the entry's name was known.
    pub(super) fn within(self, file: &Path) -> Self {
        match self {
            Self::Zip { source, .. } => Self::Zip { path: file.to_owned(), source },
            other => other,
        }
    }
}

fn build_hint(build: &Option<String>) -> String {
    match build {
        Some(command) => format!("run `typecase build`, which runs `{command}`"),
        None => "build it, or correct the path".to_owned(),
    }
}
