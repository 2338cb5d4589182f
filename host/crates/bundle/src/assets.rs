//! The static files of one release, ready to be served by this node.
//!
//! All files lie in one blob that is mapped into memory; a response is a slice of the map. Header values
//! are made once, here, so that answering a request copies and formats nothing.

mod index;
mod path;
mod preconditions;
mod respond;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::HeaderValue;

pub(crate) use index::Writer;
pub use path::decode_path;
pub use respond::{AssetRequest, method_not_allowed, respond};

use self::index::Index;

/// Why assets cannot be opened; the files are rebuilt from the bundle then.
#[derive(Debug, thiserror::Error)]
pub enum AssetsError {
    #[error("cannot open {}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the index {} is unusable: {detail}", .path.display())]
    Index { path: PathBuf, detail: String },
}

/// The assets of one release.
#[derive(Debug, Default)]
pub struct Assets {
    files: Vec<Asset>,
    /// By the path that a client requests, without the leading `/`; folders with an `index.html` are in it too.
    targets: HashMap<Box<str>, Target>,
}

#[derive(Debug, Clone, Copy)]
enum Target {
    File(u32),
    /// A folder's name without the `/` that makes the page's relative links work.
    Folder,
}

/// One file with all that a response needs.
#[derive(Debug)]
pub struct Asset {
    plain: Representation,
    content_type: HeaderValue,
    is_html: bool,
    /// The same file compressed in advance by the author: `x.js.br` and `x.js.gz` beside `x.js`.
    brotli: Option<Representation>,
    gzip: Option<Representation>,
}

/// One way to send a file.
#[derive(Debug, Clone)]
struct Representation {
    body: Bytes,
    /// Strong: it is made of the bytes themselves.
    etag: HeaderValue,
    length: HeaderValue,
}

impl Assets {
    /// Opens what [`crate::CheckedBundle::write_assets`] wrote.
    ///
    /// The blob must lie in a folder that only this node writes to, and must not be changed while it is open.
    pub fn open(blob: &Path, index: &Path) -> Result<Self, AssetsError> {
        let text =
            std::fs::read(index).map_err(|source| AssetsError::Io { path: index.to_owned(), source })?;
        let unusable = |detail: String| AssetsError::Index { path: index.to_owned(), detail };
        let index = Index::parse(&text).map_err(unusable)?;
        if index.files.is_empty() {
            return Ok(Self::default());
        }
        let map = map(blob).map_err(|source| AssetsError::Io { path: blob.to_owned(), source })?;
        if map.len() as u64 != index.blob_bytes {
            return Err(unusable(format!(
                "it is for a blob of {} bytes, the blob has {}",
                index.blob_bytes,
                map.len()
            )));
        }
        Self::from_index(&index, &map).map_err(unusable)
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether a request for this path of the app (as it stands in the request line) would be answered.
    pub fn contains(&self, request_path: &str) -> bool {
        self.target(request_path).is_some()
    }

    fn target(&self, request_path: &str) -> Option<Target> {
        let decoded = decode_path(request_path)?;
        self.targets.get(decoded.strip_prefix('/')?).copied()
    }

    fn file(&self, number: u32) -> Option<&Asset> {
        self.files.get(number as usize)
    }

    /// The asset at a path within the assets folder.
    fn named(&self, path: &str) -> Option<&Asset> {
        match self.targets.get(path)? {
            Target::File(number) => self.file(*number),
            Target::Folder => None,
        }
    }

    fn from_index(index: &Index, map: &Bytes) -> Result<Self, String> {
        let mut content_types: HashMap<&str, HeaderValue> = HashMap::new();
        let mut files = Vec::with_capacity(index.files.len());
        let mut targets = HashMap::with_capacity(index.files.len());
        for (number, file) in index.files.iter().enumerate() {
            let content_type = match content_types.get(file.content_type.as_str()) {
                Some(value) => value.clone(),
                None => {
                    let value = header(file.content_type.clone())?;
                    content_types.insert(&file.content_type, value.clone());
                    value
                }
            };
            files.push(Asset {
                plain: representation(file, map)?,
                is_html: file.content_type.starts_with("text/html"),
                content_type,
                brotli: None,
                gzip: None,
            });
            let number = u32::try_from(number).map_err(|_| "it lists too many files".to_owned())?;
            targets.insert(file.path.as_str().into(), Target::File(number));
            if let Some(folder) = file.path.strip_suffix("index.html")
                && (folder.is_empty() || folder.ends_with('/'))
            {
                targets.insert(folder.into(), Target::File(number));
                if let Some(name) = folder.strip_suffix('/') {
                    targets.insert(name.into(), Target::Folder);
                }
            }
        }
        let mut assets = Self { files, targets };
        for (number, file) in index.files.iter().enumerate() {
            let brotli = assets.smaller(&format!("{}.br", file.path), file.length);
            let gzip = assets.smaller(&format!("{}.gz", file.path), file.length);
            assets.files[number].brotli = brotli;
            assets.files[number].gzip = gzip;
        }
        Ok(assets)
    }

    /// A file compressed in advance is of use only where it saves something.
    fn smaller(&self, path: &str, than: u64) -> Option<Representation> {
        let plain = &self.named(path)?.plain;
        ((plain.body.len() as u64) < than).then(|| plain.clone())
    }
}

fn representation(file: &index::IndexFile, map: &Bytes) -> Result<Representation, String> {
    let range = file
        .offset
        .checked_add(file.length)
        .filter(|end| *end <= map.len() as u64)
        .and_then(|end| Some(usize::try_from(file.offset).ok()?..usize::try_from(end).ok()?))
        .ok_or_else(|| format!("`{}` lies outside the blob", file.path))?;
    Ok(Representation {
        body: map.slice(range),
        etag: header(format!("\"{}\"", file.etag))?,
        length: header(file.length.to_string())?,
    })
}

fn header(text: String) -> Result<HeaderValue, String> {
    HeaderValue::from_maybe_shared(Bytes::from(text)).map_err(|_| "it holds a malformed header".to_owned())
}

// Mapping a file is unsafe because its bytes would change under us if someone wrote to it, and a read
// would fault if someone cut it off. This file lies in the node's private folder; the node writes it
// once, before it is opened here, and only ever unlinks it, which leaves the map intact.
#[allow(unsafe_code)]
fn map(blob: &Path) -> io::Result<Bytes> {
    let file = File::open(blob)?;
    if file.metadata()?.len() == 0 {
        // An empty range cannot be mapped; the bundle holds nothing but empty files.
        return Ok(Bytes::new());
    }
    // SAFETY: see above.
    let map = unsafe { memmap2::Mmap::map(&file)? };
    Ok(Bytes::from_owner(map))
}

#[cfg(test)]
mod tests;
