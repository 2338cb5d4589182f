//! This node's copies of bundles, unpacked: everything here can be made again from the bundle storage.
//!
//! A folder per bundle digest. It is filled under another name and then renamed, so a folder that has its
//! right name is complete.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use typecase_bundle::{BundleError, BundlePolicy, CheckedBundle};
use typecase_model::Digest;
use typecase_runtime::WasiGeneration;

const META_FILE: &str = "unpacked.json";

/// The folder of unpacked bundles.
#[derive(Debug, Clone)]
pub struct LocalReleases {
    folder: PathBuf,
}

/// One unpacked bundle.
#[derive(Debug, Clone)]
pub struct Unpacked {
    pub folder: PathBuf,
    pub meta: Meta,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Meta {
    /// Digest of `component.wasm`; none when the bundle has only assets.
    pub component: Option<Digest>,
    /// Known once the component has been prepared; saves reading it again.
    pub generation: Option<WasiGeneration>,
    pub has_assets: bool,
}

impl Unpacked {
    pub fn component_path(&self) -> PathBuf {
        self.folder.join("component.wasm")
    }

    pub fn blob_path(&self) -> PathBuf {
        self.folder.join("assets.blob")
    }

    pub fn index_path(&self) -> PathBuf {
        self.folder.join("assets.json")
    }

    /// Remembers the generation; losing it costs a look at the component at the next start.
    pub fn remember(&mut self, generation: WasiGeneration) {
        if self.meta.generation == Some(generation) {
            return;
        }
        self.meta.generation = Some(generation);
        let path = self.folder.join(META_FILE);
        let next = path.with_extension("next");
        let written = write_meta(&next, &self.meta).and_then(|()| fs::rename(&next, &path));
        if let Err(error) = written {
            tracing::debug!(file = %path.display(), "not written: {error}");
        }
    }
}

impl LocalReleases {
    /// Opens the folder and removes what an interrupted unpacking left.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            // Only a complete copy has a digest for its whole name.
            if digest_of(&entry.file_name()).is_none() {
                remove(&entry.path());
            }
        }
        Ok(Self { folder })
    }

    /// The unpacked bundle, if this node has it.
    pub fn get(&self, digest: Digest) -> Option<Unpacked> {
        let folder = self.folder.join(digest.hex());
        let meta = fs::read(folder.join(META_FILE)).ok()?;
        let meta = serde_json::from_slice(&meta).ok()?;
        Some(Unpacked { folder, meta })
    }

    /// Where to fetch a bundle to before it is unpacked.
    pub fn download_path(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!("{}.bundle", digest.hex()))
    }

    /// Unpacks a fetched bundle and removes it. Blocking.
    pub fn unpack(&self, digest: Digest, bundle: &Path) -> Result<Unpacked, BundleError> {
        let io = |action: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source| BundleError::Io { action, path, source }
        };
        let folder = self.folder.join(digest.hex());
        let unpacking = folder.with_extension("unpacking");
        remove(&unpacking);
        fs::create_dir(&unpacking).map_err(io("make", &unpacking))?;
        // Judged again: storage is not trusted, and policies differ between nodes during an upgrade.
        let checked = typecase_bundle::check(bundle, &BundlePolicy::default())?;
        let meta = write_content(&checked, &unpacking)?;
        write_meta(&unpacking.join(META_FILE), &meta).map_err(io("write", &unpacking))?;
        remove(&folder);
        fs::rename(&unpacking, &folder).map_err(io("rename", &unpacking))?;
        remove(bundle);
        Ok(Unpacked { folder, meta })
    }

    /// Forgets one bundle: it was found damaged, or nobody needs it.
    pub fn remove(&self, digest: Digest) {
        remove(&self.folder.join(digest.hex()));
    }

    /// Digests of all bundles that have been here for longer than `age`, with their components' digests.
    pub fn older_than(&self, age: Duration) -> io::Result<Vec<(Digest, Option<Digest>)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let modified = entry.metadata()?.modified()?;
            let old = SystemTime::now().duration_since(modified).is_ok_and(|since| since > age);
            if let Some(digest) = digest_of(&entry.file_name())
                && old
            {
                found.push((digest, self.get(digest).and_then(|unpacked| unpacked.meta.component)));
            }
        }
        Ok(found)
    }
}

fn write_content(checked: &CheckedBundle, folder: &Path) -> Result<Meta, BundleError> {
    let component = checked.component()?;
    if let Some(bytes) = &component {
        let path = folder.join("component.wasm");
        fs::write(&path, bytes).map_err(|source| BundleError::Io { action: "write", path, source })?;
    }
    if checked.has_assets() {
        checked.write_assets(&folder.join("assets.blob"), &folder.join("assets.json"))?;
    }
    Ok(Meta {
        component: component.as_deref().map(Digest::of),
        generation: None,
        has_assets: checked.has_assets(),
    })
}

fn write_meta(path: &Path, meta: &Meta) -> io::Result<()> {
    let file = File::create(path)?;
    serde_json::to_writer(&file, meta)?;
    file.sync_all()
}

/// The bundle whose copy has this name.
fn digest_of(name: &OsStr) -> Option<Digest> {
    format!("sha256:{}", name.to_str()?).parse().ok()
}

/// Removes a file or folder that may not be there.
fn remove(path: &Path) {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(file = %path.display(), "cannot be removed: {error}");
        }
        _ => {}
    }
}
