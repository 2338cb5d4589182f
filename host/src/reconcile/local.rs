//! This node's copies of bundles, unpacked: everything here can be made again from the bundle storage.
//!
//! A folder per bundle digest. It is filled under another name and then renamed, so a folder that has its
//! right name is complete.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use typecase_bundle::{BundleError, BundlePolicy, CheckedBundle};
use typecase_model::Digest;
use typecase_runtime::WasiGeneration;

const META_FILE: &str = "unpacked.json";

/// Kept to put it back when the stored one is damaged.
const BUNDLE_FILE: &str = "bundle.zip";

/// The folder of unpacked bundles.
#[derive(Debug, Clone)]
pub struct LocalReleases {
    folder: PathBuf,
    policy: BundlePolicy,
}

/// Where one bundle is fetched to and unpacked before it has its name.
#[derive(Debug)]
pub struct Work {
    pub bundle: PathBuf,
    unpacking: PathBuf,
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
    pub fn open(folder: PathBuf, policy: BundlePolicy) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            // Only a complete copy has a digest for its whole name.
            if digest_of(&entry.file_name()).is_none() {
                remove(&entry.path());
            }
        }
        Ok(Self { folder, policy })
    }

    /// The unpacked bundle, if this node has it.
    pub fn get(&self, digest: Digest) -> Option<Unpacked> {
        let folder = self.folder.join(digest.hex());
        let meta = fs::read(folder.join(META_FILE)).ok()?;
        let meta = serde_json::from_slice(&meta).ok()?;
        Some(Unpacked { folder, meta })
    }

    /// Names for one fetching and unpacking; new ones each time, because two apps may have the same bundle.
    pub fn work(&self, digest: Digest) -> Work {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |kind| self.folder.join(format!("{}.{number}.{kind}", digest.hex()));
        Work { bundle: name("bundle"), unpacking: name("unpacking") }
    }

    /// The bundle itself, as it was verified when it was fetched; another node may need it.
    pub fn bundle(&self, digest: Digest) -> Option<PathBuf> {
        let path = self.folder.join(digest.hex()).join(BUNDLE_FILE);
        path.exists().then_some(path)
    }

    /// Unpacks a fetched bundle; nothing but the finished copy is left. Blocking.
    pub fn unpack(&self, digest: Digest, work: &Work) -> Result<Unpacked, BundleError> {
        let unpacked = self.unpack_into(digest, work);
        remove(&work.bundle);
        remove(&work.unpacking);
        unpacked
    }

    fn unpack_into(
        &self,
        digest: Digest,
        Work { bundle, unpacking }: &Work,
    ) -> Result<Unpacked, BundleError> {
        let io = |action: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source| BundleError::Io { action, path, source }
        };
        fs::create_dir(unpacking).map_err(io("make", unpacking))?;
        // Judged again: storage is not trusted, and policies differ between nodes during an upgrade.
        let checked = typecase_bundle::check(bundle, &self.policy)?;
        let meta = write_content(&checked, unpacking)?;
        drop(checked);
        fs::rename(bundle, unpacking.join(BUNDLE_FILE)).map_err(io("keep", bundle))?;
        write_meta(&unpacking.join(META_FILE), &meta).map_err(io("write", unpacking))?;
        let folder = self.folder.join(digest.hex());
        match fs::rename(unpacking, &folder) {
            Ok(()) => Ok(Unpacked { folder, meta }),
            // Somebody else was faster, or an unfinished copy is in the way.
            Err(_) if folder.exists() => match self.get(digest) {
                Some(unpacked) => Ok(unpacked),
                None => {
                    remove(&folder);
                    fs::rename(unpacking, &folder).map_err(io("rename", unpacking))?;
                    Ok(Unpacked { folder, meta })
                }
            },
            Err(error) => Err(io("rename", unpacking)(error)),
        }
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
