//! Why a bundle is refused.

use std::io;
use std::path::PathBuf;

use typecase_model::ManifestError;

/// Why a bundle is refused; the text is for its publisher and says what to change.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("this is not a bundle: {detail}")]
    NotABundle { detail: &'static str },
    #[error("the bundle has {bytes} bytes, more than the {max} that this server accepts")]
    TooLarge { bytes: u64, max: u64 },
    #[error("the bundle is truncated: {detail}; upload it again")]
    Truncated { detail: String },
    #[error("the bundle is damaged{}: {detail}; pack it again", at(.entry))]
    Corrupt { entry: Option<String>, detail: String },
    #[error(
        "the bundle has {count} entries, more than the {max} that this server accepts: leave out files that are not served"
    )]
    TooManyEntries { count: u64, max: u32 },
    #[error(
        "entry `{path}` has an unsafe path ({why}): paths are relative, with `/`, and stay within the bundle"
    )]
    PathUnsafe { path: String, why: &'static str },
    #[error(
        "entry `{path}` has a path of {chars} characters, more than the {max} that are allowed: shorten it"
    )]
    PathTooLong { path: String, chars: usize, max: u32 },
    #[error("entry `{path}` is in the bundle twice: remove one of them")]
    DuplicatePath { path: String },
    #[error("`{path}` is a file, but other entries are below it as if it were a folder: rename one of them")]
    PathConflict { path: String },
    #[error("entry `{path}` is a {kind}: a bundle holds plain files only; replace it by the file itself")]
    NotAFile { path: String, kind: &'static str },
    #[error("entry `{path}` is encrypted: pack the bundle without a password")]
    Encrypted { path: String },
    #[error("entry `{path}` uses compression method {method}: only `stored` and `deflate` are accepted")]
    CompressionUnsupported { path: String, method: String },
    #[error(
        "entry `{path}` grows from {packed} to {expanded} bytes, more than {ratio_max} times: store it uncompressed or leave it out"
    )]
    ExpansionRatio { path: String, packed: u64, expanded: u64, ratio_max: u32 },
    #[error(
        "the bundle grows to {bytes} bytes or more when it is unpacked; this server accepts {max}: leave out files"
    )]
    ExpansionTotal { bytes: u64, max: u64 },
    #[error("entry `{path}` is {actual} bytes long, but the archive says {declared}: pack it again")]
    SizeMismatch { path: String, declared: u64, actual: u64 },
    #[error(
        "entry `{path}` does not belong into a bundle, which holds typecase.toml, component.wasm and assets/: move it below assets/ or leave it out"
    )]
    EntryUnexpected { path: String },
    #[error(
        "the bundle has no typecase.toml at its root: publish the project's folder with `typecase publish`, or zip the folder's content rather than the folder"
    )]
    ManifestMissing,
    #[error("{0}")]
    Manifest(#[from] ManifestError),
    #[error("typecase.toml names a component, but the bundle has no component.wasm: build it and pack again")]
    ComponentMissing,
    #[error(
        "the bundle has a component.wasm, but typecase.toml names no component: add `component = \"component.wasm\"` to [app]"
    )]
    ComponentUnexpected,
    #[error(
        "component.wasm has {bytes} bytes, more than the {max} that this server accepts: strip debug information from it"
    )]
    ComponentTooLarge { bytes: u64, max: u64 },
    #[error(
        "typecase.toml names an assets folder, but the bundle has nothing below assets/: add files or remove `assets` from [app]"
    )]
    AssetsMissing,
    #[error(
        "the bundle has files below assets/, but typecase.toml names no assets folder: add `assets = \"assets/\"` to [app]"
    )]
    AssetsUnexpected,
    #[error("typecase.toml names the fallback `{path}`, but there is no assets/{path} in the bundle")]
    FallbackMissing { path: String },
    /// The server's fault, not the publisher's.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

impl BundleError {
    /// The stable name of the error for programs; never renamed.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotABundle { .. } => "not-a-bundle",
            Self::TooLarge { .. } => "bundle-too-large",
            Self::Truncated { .. } => "bundle-truncated",
            Self::Corrupt { .. } => "bundle-corrupt",
            Self::TooManyEntries { .. } => "bundle-too-many-entries",
            Self::PathUnsafe { .. } => "bundle-path-unsafe",
            Self::PathTooLong { .. } => "bundle-path-too-long",
            Self::DuplicatePath { .. } => "bundle-duplicate-path",
            Self::PathConflict { .. } => "bundle-path-conflict",
            Self::NotAFile { .. } => "bundle-symlink",
            Self::Encrypted { .. } => "bundle-encrypted",
            Self::CompressionUnsupported { .. } => "bundle-compression-unsupported",
            Self::ExpansionRatio { .. } | Self::ExpansionTotal { .. } => "bundle-expansion",
            Self::SizeMismatch { .. } => "bundle-size-mismatch",
            Self::EntryUnexpected { .. } => "bundle-entry-unexpected",
            Self::ManifestMissing => "manifest-missing",
            Self::Manifest(_) => "manifest-invalid",
            Self::ComponentMissing => "component-missing",
            Self::ComponentUnexpected => "component-unexpected",
            Self::ComponentTooLarge { .. } => "component-too-large",
            Self::AssetsMissing => "assets-missing",
            Self::AssetsUnexpected => "assets-unexpected",
            Self::FallbackMissing { .. } => "fallback-missing",
            Self::Io { .. } => "bundle-unreadable",
        }
    }

    /// Whether the publisher can do something about it; the rest is the server's own trouble.
    pub fn is_publishers_fault(&self) -> bool {
        !matches!(self, Self::Io { .. })
    }
}

fn at(entry: &Option<String>) -> String {
    entry.as_ref().map(|path| format!(" at entry `{path}`")).unwrap_or_default()
}
