//! Where things are in this repository.

use std::env;
use std::path::{Path, PathBuf};

/// The repository's root: this crate is two folders below it.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Where cargo puts the host's binaries.
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// One of the host's binaries, as the given profile builds it.
pub fn binary(profile: &str, name: &str) -> PathBuf {
    target().join(profile).join(name)
}
