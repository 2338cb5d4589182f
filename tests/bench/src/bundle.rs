//! Bundles made in memory, so that a scenario can choose limits and assets of its own.

use std::io::{Cursor, Write as _};

use anyhow::Result;
use bytes::Bytes;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// What is put into a bundle.
#[derive(Debug, Default)]
pub struct Contents<'a> {
    pub name: &'a str,
    pub component: &'a [u8],
    /// The path that has to answer before the release serves, if it is not `/`.
    pub health: &'a str,
    /// Lines of the manifest's `[limits]`.
    pub limits: &'a str,
    pub assets: &'a [(&'a str, &'a [u8])],
}

impl Contents<'_> {
    pub fn zip(&self) -> Result<Bytes> {
        let mut manifest = format!(
            "manifest_version = 1\n\n[app]\nname = \"{}\"\ncomponent = \"component.wasm\"\n",
            self.name
        );
        if !self.assets.is_empty() {
            manifest.push_str("assets = \"assets/\"\n");
        }
        if !self.health.is_empty() {
            manifest.push_str(&format!("health = \"{}\"\n", self.health));
        }
        if !self.limits.is_empty() {
            manifest.push_str(&format!("\n[limits]\n{}\n", self.limits));
        }
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let mut add = |path: &str, content: &[u8]| -> Result<()> {
            archive.start_file(path, SimpleFileOptions::default())?;
            archive.write_all(content)?;
            Ok(())
        };
        add("typecase.toml", manifest.as_bytes())?;
        add("component.wasm", self.component)?;
        for (path, content) in self.assets {
            add(&format!("assets/{path}"), content)?;
        }
        Ok(archive.finish()?.into_inner().into())
    }
}
