//! Writes a project into a folder that nobody uses yet.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::cli::failure::{Exit, Failure};

/// Writes all files. A folder that holds anything is left alone; what was begun and failed is taken away again.
pub fn create(path: &Path, files: &[(String, String)]) -> Result<(), Failure> {
    let existed = is_there(path)?;
    write(path, files).map_err(|error| {
        let _ = if existed { empty(path) } else { fs::remove_dir_all(path) };
        failed(path, &error)
    })
}

fn is_there(path: &Path) -> Result<bool, Failure> {
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(true),
            Some(_) => {
                let detail = format!(
                    "{} is not empty: choose another name, or another folder with --folder",
                    path.display()
                );
                Err(Failure::local(Exit::Failed, "folder-not-empty", detail))
            }
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(path, &error)),
    }
}

fn write(folder: &Path, files: &[(String, String)]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (path, text) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
    }
    Ok(())
}

fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    let detail = format!("cannot make the project in {}: {error}", path.display());
    Failure::local(Exit::Failed, "not-written", detail)
}
