//! This node's store of native code: made here, read here, in a folder that only this user can enter.
//!
//! Loading native code trusts it completely, so a file is loaded only if its seal is right: a hash over
//! the code and its file's name, keyed with a secret of this node. A file that is damaged, foreign, in
//! another's place or from another version has no right seal, or another name, and is made anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

const SECRET_BYTES: usize = 32;

/// How a file is called until it has its seal.
const UNSEALED: &str = "unsealed";

/// The folder of compiled code, and the secret that seals it.
#[derive(Debug)]
pub struct CodeCache {
    folder: PathBuf,
    secret: [u8; SECRET_BYTES],
}

impl CodeCache {
    /// Opens the folder, or makes it with mode 0700 and a new secret; removes what an interrupted
    /// compilation left, and what an engine made that has none of these fingerprints: nobody would ask for it again.
    pub fn open(folder: PathBuf, fingerprints: &[&str]) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let is_current = fingerprints.iter().any(|fingerprint| stem.ends_with(fingerprint));
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(UNSEALED) => fs::remove_file(path)?,
                Some("cwasm" | "seal") if !is_current => fs::remove_file(path)?,
                _ => {}
            }
        }
        let path = folder.join("seal-secret");
        let mut secret = [0; SECRET_BYTES];
        match File::open(&path).and_then(|mut file| file.read_exact(&mut secret)) {
            Ok(()) => {}
            Err(_) => {
                // Missing or damaged: a new secret costs one compilation per component.
                File::open("/dev/urandom")?.read_exact(&mut secret)?;
                let _ = fs::remove_file(&path);
                OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)?
                    .write_all(&secret)?;
            }
        }
        Ok(Self { folder, secret })
    }

    /// Where the code of a component belongs; the name holds all that the code depends on.
    pub fn code_path(&self, component_hex: &str, fingerprint: &str) -> PathBuf {
        self.folder.join(format!("{component_hex}-{fingerprint}.cwasm"))
    }

    /// Where a compile child writes before its output is sealed; a new name each time, because two apps may
    /// have the same component.
    pub fn unsealed_path(&self, component_hex: &str) -> PathBuf {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("{component_hex}-{}-{number}.{UNSEALED}", std::process::id()))
    }

    /// Seals what the compile child wrote and puts it in its place.
    pub fn seal(&self, unsealed: &Path, code: &Path) -> io::Result<()> {
        let seal = self.seal_of(unsealed, code)?;
        fs::write(seal_path(code), seal)?;
        fs::rename(unsealed, code)
    }

    /// True if the code is there and is what this node made; removes it otherwise.
    pub fn is_sealed(&self, code: &Path) -> bool {
        if !code.exists() {
            return false;
        }
        let right = match (fs::read(seal_path(code)), self.seal_of(code, code)) {
            (Ok(found), Ok(expected)) => found == expected,
            _ => false,
        };
        if !right {
            tracing::warn!(file = %code.display(), "compiled code has a wrong seal and is made anew");
            self.remove(code);
        }
        right
    }

    /// Forgets one file of code.
    pub fn remove(&self, code: &Path) {
        let _ = fs::remove_file(code);
        let _ = fs::remove_file(seal_path(code));
    }

    /// The seal of what is in the file `path`, for the place `code`.
    fn seal_of(&self, path: &Path, code: &Path) -> io::Result<[u8; 32]> {
        let name = code.file_name().unwrap_or_default().as_encoded_bytes();
        let mut hasher = Sha256::new();
        hasher.update(self.secret);
        // The length keeps a byte of the name from passing as one of the code.
        hasher.update(name.len().to_le_bytes());
        hasher.update(name);
        let mut file = File::open(path)?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => hasher.update(&buffer[..read]),
            }
        }
        // The secret on both ends: a hash with the secret in front alone can be extended.
        hasher.update(self.secret);
        Ok(hasher.finalize().into())
    }
}

fn seal_path(code: &Path) -> PathBuf {
    code.with_extension("seal")
}
