//! Why a project cannot be packed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use typecase_model::ManifestError;

/// A file that has a share in a bundle's being too large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LargeFile {
    pub path: PathBuf,
    pub bytes: u64,
}

impl fmt::Display for LargeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path.display(), mib(self.bytes))
    }
}

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
    #[error(
        "the assets folder {} has more than {max} files, the most that a bundle holds: leave out what is not served, or name another folder as `assets`",
        .path.display()
    )]
    TooManyFiles { path: PathBuf, max: usize },
    #[error(
        "the component {file} is larger than the {} that servers accept: strip debug information from it",
        mib(*.max)
    )]
    ComponentTooLarge { file: LargeFile, max: u64 },
    #[error(
        "the files have {} altogether, and a bundle holds at most {}: leave out what is not served, or serve it from elsewhere. The largest: {}",
        mib(*.bytes), mib(*.max), list(.largest)
    )]
    FilesTooLarge { bytes: u64, max: u64, largest: Vec<LargeFile> },
    #[error(
        "the bundle is larger than the {} that the server accepts: leave out what is not served, or have its operator raise `limits.bundle_mb`. The largest files: {}",
        mib(*.max), list(.largest)
    )]
    BundleTooLarge { max: u64, largest: Vec<LargeFile> },
    /// The first ones, and how many there are in all.
    #[error("{count} files cannot be packed:{}", lines(.problems, *.count))]
    Several { problems: Vec<PackError>, count: usize },
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
            Self::ComponentTooLarge { .. } => "component-too-large",
            Self::FilesTooLarge { .. } => "bundle-expansion",
            Self::BundleTooLarge { .. } => "bundle-too-large",
            Self::Several { problems, .. } => problems.first().map_or("bundle-invalid", Self::code),
            Self::Zip { .. } | Self::Io { .. } => "bundle-invalid",
        }
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Each thing that is wrong, where there are several.
    pub fn problems(&self) -> &[PackError] {
        match self {
            Self::Several { problems, .. } => problems,
            one => std::slice::from_ref(one),
        }
    }
}

fn build_hint(build: &Option<String>) -> String {
    match build {
        Some(command) => format!("run `typecase build`, which runs `{command}`"),
        None => "build it, or correct the path".to_owned(),
    }
}

/// What is too large is spoken of in the unit of its limit.
fn mib(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if bytes.is_multiple_of(1 << 20) { format!("{mib} MiB") } else { format!("{mib:.1} MiB") }
}

fn list(files: &[LargeFile]) -> String {
    files.iter().map(LargeFile::to_string).collect::<Vec<_>>().join(", ")
}

fn lines(problems: &[PackError], count: usize) -> String {
    let mut text: String = problems.iter().map(|problem| format!("\n  {problem}")).collect();
    if count > problems.len() {
        text.push_str(&format!("\n  and {} more", count - problems.len()));
    }
    text
}
