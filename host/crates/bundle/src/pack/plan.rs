//! What goes into a bundle, found and judged by its size before anything is compressed.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use typecase_model::manifest::{BUNDLE_COMPONENT, Build, MANIFEST_FILE, MANIFEST_VERSION};
use typecase_model::{AppName, Manifest};

use super::archive::Archive;
use super::entry;
use super::{LargeFile, PackError, Packed, Written, digest_of, folder};
use crate::{BUNDLE_ASSETS, BundlePolicy, is_wasm};

/// The best that the compression can do; most files are far from it.
const DEFLATE_RATIO_MAX: u64 = 1_032;
/// Of the files that make a bundle too large, how many are named.
const LARGEST_MAX: usize = 3;

/// A bundle to be.
#[derive(Debug)]
pub struct Plan {
    manifest: Manifest,
    /// What the bundle keeps of the manifest.
    text: String,
    files: Vec<PlannedFile>,
}

#[derive(Debug)]
struct PlannedFile {
    /// In the bundle.
    name: String,
    source: PathBuf,
    bytes: u64,
}

impl Plan {
    /// Of a folder under a manifest that was read already.
    ///
    /// Of the assets folder everything is packed except hidden files, which no one means to serve, but for `.well-known`, and
    /// `Thumbs.db`. Symbolic links are refused rather than followed.
    pub fn of_project(project_dir: &Path, text: &str, manifest: &Manifest) -> Result<Self, PackError> {
        let policy = BundlePolicy::default();
        let mut files = Vec::new();
        if let Some(component) = &manifest.app.component {
            files.push(component_file(&project_dir.join(component), manifest.build.as_ref(), &policy)?);
        }
        if let Some(assets) = &manifest.app.assets {
            let root = project_dir.join(assets);
            // Besides the manifest and the component.
            let found = folder::list(&root, policy.entry_count_max as usize - 2)?;
            if let Some(fallback) = &manifest.app.fallback
                && !found.iter().any(|file| file.path == *fallback)
            {
                return Err(PackError::FallbackMissing { path: root.join(fallback) });
            }
            files.extend(found.into_iter().map(|file| PlannedFile {
                name: format!("{BUNDLE_ASSETS}{}", file.path),
                source: file.source,
                bytes: file.bytes,
            }));
        }
        let plan = Self { manifest: manifest.clone(), text: text.to_owned(), files };
        let bytes = plan.files.iter().map(|file| file.bytes).fold(0, u64::saturating_add);
        match bytes > policy.expanded_bytes_max {
            true => Err(PackError::FilesTooLarge {
                bytes,
                max: policy.expanded_bytes_max,
                largest: plan.largest(),
            }),
            false => Ok(plan),
        }
    }

    /// Of a bare component under a name, with a manifest that says no more than that.
    pub fn of_component(name: &AppName, component: &Path) -> Result<Self, PackError> {
        // An app name needs no escaping in a TOML string.
        let text = format!(
            "manifest_version = {MANIFEST_VERSION}\n\n[app]\nname = \"{name}\"\ncomponent = \"{BUNDLE_COMPONENT}\"\n"
        );
        let files = vec![component_file(component, None, &BundlePolicy::default())?];
        Ok(Self { manifest: Manifest::for_component(name.clone()), text, files })
    }

    /// Packs it, unless it comes out larger than `bytes_max`, which is found out as early as can be.
    pub fn pack(&self, bytes_max: u64) -> Result<Packed, PackError> {
        let file = tempfile::Builder::new()
            .prefix("typecase-bundle-")
            .suffix(".zip")
            .tempfile()
            .map_err(PackError::io("create a temporary file in", &std::env::temp_dir()))?;
        let Written { digest, size_bytes, manifest } = self.write(file.path(), bytes_max)?;
        Ok(Packed { file, digest, size_bytes, manifest })
    }

    /// The same, into a file of the caller.
    pub(super) fn write(&self, out: &Path, bytes_max: u64) -> Result<Written, PackError> {
        let too_large = || PackError::BundleTooLarge { max: bytes_max, largest: self.largest() };
        if self.packed_bytes_min() > bytes_max {
            return Err(too_large());
        }
        let mut archive = Archive::create(out, bytes_max)?;
        let mut fits = archive.add_text(MANIFEST_FILE, &self.text)?;
        for PlannedFile { name, source, .. } in &self.files {
            if !fits {
                break;
            }
            fits = archive.add_file(name, source)?;
        }
        if !fits {
            return Err(too_large());
        }
        archive.finish(out)?;
        let (digest, size_bytes) = digest_of(out).map_err(PackError::io("read", out))?;
        match size_bytes > bytes_max {
            true => Err(too_large()),
            false => Ok(Written { digest, size_bytes, manifest: self.manifest.clone() }),
        }
    }

    /// What the bundle cannot be smaller than.
    fn packed_bytes_min(&self) -> u64 {
        let bytes_min = |file: &PlannedFile| match entry::is_stored(&file.name) {
            true => file.bytes,
            false => file.bytes / DEFLATE_RATIO_MAX,
        };
        self.files.iter().map(bytes_min).fold(0, u64::saturating_add)
    }

    fn largest(&self) -> Vec<LargeFile> {
        let mut files: Vec<_> = self.files.iter().collect();
        files.sort_by_key(|file| std::cmp::Reverse(file.bytes));
        let shown = |file: &PlannedFile| LargeFile { path: file.source.clone(), bytes: file.bytes };
        files.into_iter().take(LARGEST_MAX).map(shown).collect()
    }
}

fn component_file(
    path: &Path,
    build: Option<&Build>,
    policy: &BundlePolicy,
) -> Result<PlannedFile, PackError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(PackError::ComponentMissing {
                path: path.to_owned(),
                build: build.map(|build| build.command.clone()),
            });
        }
        Err(source) => return Err(PackError::io("open", path)(source)),
    };
    let mut magic = Vec::new();
    file.by_ref().take(4).read_to_end(&mut magic).map_err(PackError::io("read", path))?;
    if !is_wasm(&magic) {
        return Err(PackError::NotWasm { path: path.to_owned() });
    }
    let bytes = file.metadata().map_err(PackError::io("look at", path))?.len();
    let max = policy.component_bytes_max;
    match bytes > max {
        true => Err(PackError::ComponentTooLarge { file: LargeFile { path: path.to_owned(), bytes }, max }),
        false => Ok(PlannedFile { name: BUNDLE_COMPONENT.to_owned(), source: path.to_owned(), bytes }),
    }
}
