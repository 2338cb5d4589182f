//! `[storage]`: where bundles are kept, by digest.

use std::path::{Path, PathBuf};

use super::node::absolute;
use super::reader::Reader;

#[derive(Debug, Clone)]
pub struct StorageConfig {
    /// A local folder, absolute.
    pub path: PathBuf,
    /// Whether what was reported as done survives a power cut.
    pub durable: bool,
}

impl StorageConfig {
    pub(super) fn read(reader: &mut Reader, data: &Path) -> Self {
        let mut section = reader.section("storage");
        let path = match section.text_or_none("path", "`storage` in the data folder") {
            Some(path) => absolute(Path::new(&path)),
            None => data.join("storage"),
        };
        let durable = section.choice("sync", "full", &[("full", true), ("off", false)], true);
        Self { path, durable }
    }
}
