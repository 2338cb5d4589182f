//! The components that are published, and small changes to them that make new releases.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::options::Bench;

/// The component that an example's manifest names.
pub fn example(bench: &Bench, name: &str) -> Result<PathBuf> {
    let folder = bench.root.join("examples").join(name);
    let manifest = folder.join("typecase.toml");
    let text =
        fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let parsed: toml::Table = text.parse().with_context(|| format!("cannot read {}", manifest.display()))?;
    let component = parsed
        .get("app")
        .and_then(|app| app.get("component"))
        .and_then(|component| component.as_str())
        .with_context(|| format!("{} names no component", manifest.display()))?;
    built(&folder.join(component))
}

/// A guest of the tests.
pub fn hostile(bench: &Bench, name: &str) -> Result<PathBuf> {
    let folder = bench.root.join("tests/guests/target/wasm32-wasip2/release");
    built(&folder.join(name).with_extension("wasm"))
}

pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The same component with another digest: a custom section that nobody reads.
pub fn salted(component: &[u8], salt: u32) -> Vec<u8> {
    const NAME: &[u8] = b"bench-salt";
    let salt = salt.to_le_bytes();
    let mut changed = component.to_vec();
    let length = 1 + NAME.len() + salt.len();
    // A section: its kind (0 is custom), its length, its name with a length, its content; both lengths fit one byte.
    changed.extend([0, length as u8, NAME.len() as u8]);
    changed.extend(NAME);
    changed.extend(salt);
    changed
}

/// The same component with another answer: part of the text that it answers with is overwritten in place.
/// Gives back the component and the text that is now part of its answer.
pub fn reworded(component: &[u8], answer: &str, version: u32) -> Result<(Vec<u8>, String)> {
    const SHORTEST: usize = 8;
    let answer = answer.trim();
    let mark = format!("v{version:07}");
    if answer.len() < SHORTEST || mark.len() != SHORTEST {
        bail!("the answer `{answer}` is too short to carry a version");
    }
    let place = (0..=answer.len() - SHORTEST).find_map(|start| {
        let part = answer.as_bytes().get(start..start + SHORTEST)?;
        component.windows(SHORTEST).position(|window| window == part)
    });
    let place = place.with_context(|| format!("the answer `{answer}` is not part of the component"))?;
    let mut changed = component.to_vec();
    changed[place..place + SHORTEST].copy_from_slice(mark.as_bytes());
    Ok((changed, mark))
}

fn built(path: &Path) -> Result<PathBuf> {
    if !path.is_file() {
        bail!("{} is not built: run `cargo xtask guests`", path.display());
    }
    // Manifests reach into the build folder with `..`, which nobody wants to read in a command.
    Ok(path.canonicalize()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salt_changes_the_bytes_and_nothing_else() {
        let component = b"\0asm\x0d\0\x01\0".to_vec();
        let changed = salted(&component, 7);
        assert!(changed.starts_with(&component));
        assert_eq!(usize::from(changed[9]), changed.len() - 10);
        assert_ne!(changed, salted(&component, 8));
    }

    #[test]
    fn a_new_answer_has_the_length_of_the_old_one() {
        let component = b"....Hello, world!\n....".to_vec();
        let (changed, mark) = reworded(&component, "Hello, world!\n", 12).expect("the answer is there");
        assert_eq!(mark, "v0000012");
        assert_eq!(changed, b"....v0000012orld!\n....");
        assert!(reworded(&component, "something else", 1).is_err());
    }
}
