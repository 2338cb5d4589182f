//! Bundles made in memory: good ones from parts, bad ones byte by byte.

use std::io::{Cursor, Write as _};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A bundle that is put together for a test.
#[derive(Debug, Clone)]
pub struct Bundle {
    manifest: String,
    entries: Vec<(String, Vec<u8>)>,
}

impl Bundle {
    /// A bundle of an app without content.
    pub fn of(app: &str) -> Self {
        let manifest = format!("manifest_version = 1\n[app]\nname = \"{app}\"\n");
        Self { manifest, entries: Vec::new() }
    }

    pub fn component(mut self, component: impl Into<Vec<u8>>) -> Self {
        self.manifest.push_str("component = \"component.wasm\"\n");
        self.entries.push(("component.wasm".to_owned(), component.into()));
        self
    }

    /// Adds a file below the assets folder.
    pub fn asset(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        if !self.manifest.contains("assets = ") {
            self.manifest.push_str("assets = \"assets/\"\n");
        }
        self.entries.push((format!("assets/{path}"), content.into()));
        self
    }

    /// Adds lines to the manifest: keys of `[app]` first, then whole sections.
    pub fn manifest(mut self, lines: &str) -> Self {
        self.manifest.push_str(lines);
        self.manifest.push('\n');
        self
    }

    /// Adds an entry as it is, wherever it claims to be.
    pub fn entry(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.entries.push((path.to_owned(), content.into()));
        self
    }

    pub fn zip(&self) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let deflated = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        let manifest = ("typecase.toml".to_owned(), self.manifest.clone().into_bytes());
        for (path, content) in std::iter::once(&manifest).chain(&self.entries) {
            zip.start_file(path.as_str(), deflated).expect("the entry is begun");
            zip.write_all(content).expect("the entry is written");
        }
        zip.finish().expect("the archive is finished").into_inner()
    }

    /// The bundle with a symbolic link among its entries.
    pub fn zip_with_symlink(&self, path: &str, target: &str) -> Vec<u8> {
        let mut zip = ZipWriter::new_append(Cursor::new(self.zip())).expect("the archive is read again");
        zip.add_symlink(path, target, SimpleFileOptions::default()).expect("the link is added");
        zip.finish().expect("the archive is finished").into_inner()
    }

    /// The bundle with one entry's name replaced, in both places where an archive keeps it, by another of the same
    /// length: no library writes what some attackers do.
    pub fn zip_renaming(&self, from: &str, to: &str) -> Vec<u8> {
        assert_eq!(from.len(), to.len(), "a name is replaced by one of the same length");
        let mut zip = self.zip();
        let places: Vec<usize> = zip
            .windows(from.len())
            .enumerate()
            .filter(|(_, window)| *window == from.as_bytes())
            .map(|(place, _)| place)
            .collect();
        assert_eq!(places.len(), 2, "`{from}` is the name of one entry");
        for place in places {
            zip[place..place + from.len()].copy_from_slice(to.as_bytes());
        }
        zip
    }
}
