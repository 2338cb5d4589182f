//! What each entry of an archive says about itself, judged before its content is read.

use typecase_model::Manifest;
use typecase_model::manifest::{BUNDLE_COMPONENT, MANIFEST_FILE};
use zip::CompressionMethod;
use zip::read::ZipFileEntry;

use super::{Archive, from_zip};
use crate::{BUNDLE_ASSETS, BundleError, BundlePolicy};

/// Small files may compress extremely well without harm; only larger ones must keep the ratio.
pub(crate) const RATIO_FREE_BYTES: u64 = 1 << 20;

/// The file of one entry.
pub(super) struct Entry {
    /// Its position in the archive.
    pub(super) index: usize,
    pub(super) name: String,
    /// Its size once unpacked.
    pub(super) bytes: u64,
}

/// The files of a bundle, by what they are for.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) manifest: Option<Entry>,
    pub(super) component: Option<Entry>,
    /// With their paths within the assets folder.
    pub(super) assets: Vec<(String, Entry)>,
}

impl Entries {
    pub(super) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.manifest.iter().chain(&self.component).chain(self.assets.iter().map(|(_, entry)| entry))
    }

    /// Refuses a manifest that does not say what is in the bundle.
    pub(super) fn match_manifest(
        &self,
        manifest: &Manifest,
        policy: &BundlePolicy,
    ) -> Result<(), BundleError> {
        match (&manifest.app.component, &self.component) {
            (Some(_), None) => return Err(BundleError::ComponentMissing),
            (None, Some(_)) => return Err(BundleError::ComponentUnexpected),
            (Some(_), Some(entry)) if entry.bytes > policy.component_bytes_max => {
                return Err(BundleError::ComponentTooLarge {
                    bytes: entry.bytes,
                    max: policy.component_bytes_max,
                });
            }
            _ => {}
        }
        match (&manifest.app.assets, self.assets.is_empty()) {
            (Some(_), true) => return Err(BundleError::AssetsMissing),
            (None, false) => return Err(BundleError::AssetsUnexpected),
            _ => {}
        }
        match &manifest.app.fallback {
            Some(fallback) if !self.assets.iter().any(|(path, _)| path == fallback) => {
                Err(BundleError::FallbackMissing { path: fallback.clone() })
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn judge(
    archive: &Archive,
    bundle_bytes: u64,
    policy: &BundlePolicy,
) -> Result<Entries, BundleError> {
    let mut entries = Entries::default();
    let mut paths = Vec::new();
    let mut expanded: u64 = 0;
    for index in 0..archive.len() {
        let entry =
            archive.by_index_data(index).map_err(|error| from_zip(error, None, "the bundle".as_ref()))?;
        let path = checked_path(entry.name_raw(), policy)?;
        check_kind(&entry, &path)?;
        check_size(&entry, &path, policy)?;
        expanded = expanded.saturating_add(entry.size());
        let ratio_bytes_max =
            bundle_bytes.saturating_mul(u64::from(policy.expansion_ratio_max)).max(RATIO_FREE_BYTES);
        let max = policy.expanded_bytes_max.min(ratio_bytes_max);
        if expanded > max {
            return Err(BundleError::ExpansionTotal { bytes: expanded, max });
        }

        let bytes = entry.size();
        let is_dir = entry.is_dir();
        paths.push(path.clone());
        let entry = Entry { index, name: path.clone(), bytes };
        if is_dir && path.starts_with(BUNDLE_ASSETS) {
            continue;
        } else if is_dir {
            return Err(BundleError::EntryUnexpected { path });
        } else if path == MANIFEST_FILE {
            entries.manifest = Some(entry);
        } else if path == BUNDLE_COMPONENT {
            entries.component = Some(entry);
        } else if let Some(asset) = path.strip_prefix(BUNDLE_ASSETS) {
            entries.assets.push((asset.to_owned(), entry));
        } else {
            return Err(BundleError::EntryUnexpected { path });
        }
    }
    check_conflicts(paths)?;
    Ok(entries)
}

/// Refuses a file that has entries below it.
fn check_conflicts(mut paths: Vec<String>) -> Result<(), BundleError> {
    // Sorted, all entries below a path stand together; keeping every parent instead would cost
    // hundreds of megabytes for deep paths.
    paths.sort_unstable();
    for file in paths.iter().filter(|path| !path.ends_with('/')) {
        let below = format!("{file}/");
        let first = paths.partition_point(|path| *path < below);
        if paths.get(first).is_some_and(|path| path.starts_with(&below)) {
            return Err(BundleError::PathConflict { path: file.clone() });
        }
    }
    Ok(())
}

/// Refuses every path that could lead out of a folder, or means different things to different systems.
fn checked_path(raw: &[u8], policy: &BundlePolicy) -> Result<String, BundleError> {
    let refuse = |why| {
        let path = printable(&String::from_utf8_lossy(raw));
        Err(BundleError::PathUnsafe { path, why })
    };
    let Ok(path) = std::str::from_utf8(raw) else {
        return refuse("it is not UTF-8");
    };
    let chars = path.chars().count();
    if chars > policy.path_chars_max as usize {
        let path = printable(path);
        return Err(BundleError::PathTooLong { path, chars, max: policy.path_chars_max });
    }
    if path.contains(char::is_control) {
        return refuse("it contains a control character");
    }
    if path.contains('\\') {
        return refuse("it contains a backslash");
    }
    if path.starts_with('/') {
        return refuse("it is absolute");
    }
    if path.as_bytes().get(1) == Some(&b':') {
        return refuse("it starts with a drive letter");
    }
    for segment in path.strip_suffix('/').unwrap_or(path).split('/') {
        match segment {
            ".." => return refuse("it leads to a parent folder"),
            "" | "." => return refuse("it has an empty or `.` segment"),
            _ => {}
        }
    }
    Ok(path.to_owned())
}

fn check_kind(entry: &ZipFileEntry<'_>, path: &str) -> Result<(), BundleError> {
    const UNIX_KIND: u32 = 0o170_000;
    // Read whatever system the entry says it comes from: an extracting tool may ignore that field.
    let kind = match (entry.external_attributes() >> 16) & UNIX_KIND {
        0 | 0o100_000 if !entry.is_dir() => None,
        0 | 0o040_000 if entry.is_dir() => None,
        0o120_000 => Some("symbolic link"),
        _ => Some("special file, or a folder with a file's name"),
    };
    if let Some(kind) = kind {
        return Err(BundleError::NotAFile { path: path.to_owned(), kind });
    }
    if entry.encrypted() {
        return Err(BundleError::Encrypted { path: path.to_owned() });
    }
    match entry.compression() {
        CompressionMethod::Stored | CompressionMethod::Deflated => Ok(()),
        other => {
            Err(BundleError::CompressionUnsupported { path: path.to_owned(), method: format!("{other:?}") })
        }
    }
}

fn check_size(entry: &ZipFileEntry<'_>, path: &str, policy: &BundlePolicy) -> Result<(), BundleError> {
    let (packed, expanded) = (entry.compressed_size(), entry.size());
    if entry.is_dir() && expanded != 0 {
        return Err(BundleError::NotAFile { path: path.to_owned(), kind: "folder with content" });
    }
    let allowed = packed.saturating_mul(u64::from(policy.expansion_ratio_max));
    if expanded > RATIO_FREE_BYTES && expanded > allowed {
        return Err(BundleError::ExpansionRatio {
            path: path.to_owned(),
            packed,
            expanded,
            ratio_max: policy.expansion_ratio_max,
        });
    }
    Ok(())
}

/// A hostile path as an error may show it: without control characters, and no longer than a line.
pub(super) fn printable(path: &str) -> String {
    const CHARS_MAX: usize = 80;
    let mut shown: String = path.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect();
    if path.chars().nth(CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
