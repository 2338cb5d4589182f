//! Replaces a file in one step: whoever reads it meets the old text or the new one, never a part.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::cli::failure::{Exit, Failure};

/// Balancers often read it as another user.
const MODE: u32 = 0o644;

/// True when the file was changed; one that says the same already is left alone.
pub fn replace(path: &Path, text: &str) -> Result<bool, Failure> {
    write(path, text).map_err(|error| {
        Failure::local(Exit::Failed, "not-written", format!("cannot be written: {error}")).within(path)
    })
}

fn write(path: &Path, text: &str) -> io::Result<bool> {
    // What a link points to is replaced, not the link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&path).is_ok_and(|meta| !meta.is_file()) {
        // Reading a device to compare it may never end, and what is renamed over it is no device any more.
        return Err(io::Error::other("it is no file; without this option the text goes to stdout"));
    }
    if fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(false);
    }
    let permissions = fs::metadata(&path).map_or(Permissions::from_mode(MODE), |old| old.permissions());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(permissions)?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    Ok(true)
}
