//! From a project folder, or a bare component, to a bundle.
//!
//! The same inputs give the same bytes, and so the same digest: entries are sorted, times and
//! permissions are fixed, and each file is compressed in one fixed way.

mod error;
mod folder;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use typecase_model::manifest::{BUNDLE_COMPONENT, MANIFEST_BYTES_MAX, MANIFEST_FILE, MANIFEST_VERSION};
use typecase_model::{AppName, Digest, Manifest};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

pub use self::error::PackError;
use crate::{BUNDLE_ASSETS, is_wasm};

/// A better level costs a publisher seconds and saves one percent.
const DEFLATE_LEVEL: i64 = 6;
const CHUNK_BYTES: usize = 64 * 1024;
/// What is compressed already; compressing it again only costs time.
const STORED_EXTENSIONS: [&str; 20] = [
    "7z", "avif", "br", "bz2", "gif", "gz", "ico", "jpeg", "jpg", "mp3", "mp4", "ogg", "pdf", "png", "webm",
    "webp", "woff", "woff2", "zip", "zst",
];

/// A bundle in a temporary file that is removed with this value.
#[derive(Debug)]
pub struct Packed {
    pub file: tempfile::NamedTempFile,
    pub digest: Digest,
    pub size_bytes: u64,
    pub manifest: Manifest,
}

/// What is known of a bundle that was written to a file of the caller.
#[derive(Debug)]
pub struct Written {
    pub digest: Digest,
    pub size_bytes: u64,
    pub manifest: Manifest,
}

/// Packs the folder that has a `typecase.toml`.
pub fn pack(project_dir: &Path) -> Result<Packed, PackError> {
    let (text, manifest) = read_manifest(project_dir)?;
    pack_project(project_dir, &text, &manifest)
}

/// Packs a folder under a manifest that was read already; `text` is what the bundle keeps of it.
///
/// Of the assets folder everything is packed except hidden files, which no one means to serve, but for `.well-known`, and
/// `Thumbs.db`. Symbolic links are refused rather than followed.
pub fn pack_project(project_dir: &Path, text: &str, manifest: &Manifest) -> Result<Packed, PackError> {
    let file = temporary()?;
    let written = write(file.path(), |zip| {
        add(zip, MANIFEST_FILE, &mut text.as_bytes())?;
        if let Some(component) = &manifest.app.component {
            let component = project_dir.join(component);
            let mut source = open_component(&component, manifest.build.as_ref())?;
            add(zip, BUNDLE_COMPONENT, &mut source).map_err(|error| error.within(&component))?;
        }
        if let Some(assets) = &manifest.app.assets {
            let files = folder::list(&project_dir.join(assets))?;
            if let Some(fallback) = &manifest.app.fallback
                && !files.iter().any(|(path, _)| path == fallback)
            {
                return Err(PackError::FallbackMissing { path: project_dir.join(assets).join(fallback) });
            }
            for (path, source) in files {
                let mut reader = File::open(&source).map_err(PackError::io("open", &source))?;
                add(zip, &format!("{BUNDLE_ASSETS}{path}"), &mut reader)
                    .map_err(|error| error.within(&source))?;
            }
        }
        Ok(manifest.clone())
    })?;
    Ok(packed(file, written))
}

/// Packs a bare component under a name, with a manifest that says no more than that.
pub fn pack_component(name: &AppName, component: &Path) -> Result<Packed, PackError> {
    let file = temporary()?;
    let written = wrap_component(name, component, file.path())?;
    Ok(packed(file, written))
}

/// Writes the bundle of a bare component to `out`.
pub fn wrap_component(name: &AppName, component: &Path, out: &Path) -> Result<Written, PackError> {
    // An app name needs no escaping in a TOML string.
    let text = format!(
        "manifest_version = {MANIFEST_VERSION}\n\n[app]\nname = \"{name}\"\ncomponent = \"{BUNDLE_COMPONENT}\"\n"
    );
    write(out, |zip| {
        add(zip, MANIFEST_FILE, &mut text.as_bytes())?;
        let mut source = open_component(component, None)?;
        add(zip, BUNDLE_COMPONENT, &mut source).map_err(|error| error.within(component))?;
        Ok(Manifest::for_component(name.clone()))
    })
}

/// The manifest of a project folder: its text, and what it says.
pub fn read_manifest(project_dir: &Path) -> Result<(String, Manifest), PackError> {
    let path = project_dir.join(MANIFEST_FILE);
    let mut bytes = Vec::new();
    match File::open(&path) {
        // One byte more than allowed is enough for the parser to refuse it.
        Ok(file) => file.take(MANIFEST_BYTES_MAX as u64 + 1).read_to_end(&mut bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(PackError::ManifestMissing { folder: project_dir.to_owned() });
        }
        Err(error) => Err(error),
    }
    .map_err(PackError::io("read", &path))?;
    let text = String::from_utf8(bytes).map_err(|_| PackError::ManifestNotText { path: path.clone() })?;
    let manifest = Manifest::parse(&text, &path.display().to_string())?;
    Ok((text, manifest))
}

fn open_component(
    path: &Path,
    build: Option<&typecase_model::manifest::Build>,
) -> Result<impl Read, PackError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(PackError::ComponentMissing {
                path: path.to_owned(),
                build: build.map(|build| build.command.clone()),
            });
        }
        Err(source) => return Err(PackError::io("open", path)(source)),
    };
    let mut reader = BufReader::new(file);
    let mut magic = Vec::new();
    reader.by_ref().take(4).read_to_end(&mut magic).map_err(PackError::io("read", path))?;
    if !is_wasm(&magic) {
        return Err(PackError::NotWasm { path: path.to_owned() });
    }
    Ok(io::Cursor::new(magic).chain(reader))
}

type Zip = ZipWriter<BufWriter<File>>;

/// Writes an archive that `fill` fills, and digests what was written.
fn write(
    out: &Path,
    fill: impl FnOnce(&mut Zip) -> Result<Manifest, PackError>,
) -> Result<Written, PackError> {
    let file = File::create(out).map_err(PackError::io("create", out))?;
    let mut zip = ZipWriter::new(BufWriter::new(file));
    let manifest = fill(&mut zip)?;
    let mut writer = zip.finish().map_err(|error| PackError::Zip { path: out.to_owned(), source: error })?;
    writer.flush().map_err(PackError::io("write", out))?;
    drop(writer);

    let (digest, size_bytes) = digest_of(out).map_err(PackError::io("read", out))?;
    Ok(Written { digest, size_bytes, manifest })
}

fn digest_of(path: &Path) -> io::Result<(Digest, u64)> {
    // Read again, because the packer went back to fill in sizes and checksums.
    let mut file = BufReader::with_capacity(CHUNK_BYTES, File::open(path)?);
    let mut hash = Sha256::new();
    let mut size_bytes = 0;
    loop {
        let chunk = file.fill_buf()?;
        if chunk.is_empty() {
            return Ok((Digest::from_bytes(hash.finalize().into()), size_bytes));
        }
        hash.update(chunk);
        let count = chunk.len();
        size_bytes += count as u64;
        file.consume(count);
    }
}

fn add(zip: &mut Zip, name: &str, source: &mut dyn Read) -> Result<(), PackError> {
    let extension = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let method = if STORED_EXTENSIONS.contains(&extension.as_str()) {
        CompressionMethod::Stored
    } else {
        CompressionMethod::Deflated
    };
    let level = (method == CompressionMethod::Deflated).then_some(DEFLATE_LEVEL);
    let options = SimpleFileOptions::default()
        .compression_method(method)
        .compression_level(level)
        // 1980-01-01, the earliest that the format knows.
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644)
        .system(System::Unix);
    let failed = |source| PackError::Zip { path: name.into(), source };
    zip.start_file(name, options).map_err(failed)?;
    io::copy(source, zip).map_err(|error| failed(error.into()))?;
    Ok(())
}

fn temporary() -> Result<tempfile::NamedTempFile, PackError> {
    tempfile::Builder::new()
        .prefix("typecase-bundle-")
        .suffix(".zip")
        .tempfile()
        .map_err(PackError::io("create a temporary file in", &std::env::temp_dir()))
}

fn packed(file: tempfile::NamedTempFile, written: Written) -> Packed {
    let Written { digest, size_bytes, manifest } = written;
    Packed { file, digest, size_bytes, manifest }
}
