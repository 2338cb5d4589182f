//! The components that tests publish: the examples, the guests, and changed copies that can be told apart.

use std::fs;
use std::path::{Path, PathBuf};

/// The repository's root: this crate is two folders below it.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// The project folder of an example, built.
pub fn example(name: &str) -> PathBuf {
    project(&root().join("examples").join(name))
}

/// The project folder of a guest of the tests, built.
pub fn guest(name: &str) -> PathBuf {
    project(&root().join("tests/guests").join(name))
}

/// A project of Spin's among the guests, built.
pub fn spin_project(name: &str) -> PathBuf {
    let folder = root().join("tests/guests").join(name);
    let component =
        folder.join("target/wasm32-wasip2/release").join(format!("{}.wasm", name.replace('-', "_")));
    assert!(component.is_file(), "{} is not built: run `cargo xtask guests`", folder.display());
    folder
}

/// The component that a project's manifest names.
pub fn component_path(project: &Path) -> PathBuf {
    let manifest = project.join("typecase.toml");
    let text =
        fs::read_to_string(&manifest).unwrap_or_else(|error| panic!("{}: {error}", manifest.display()));
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{}: {error}", manifest.display()));
    let component = table["app"]["component"].as_str().expect("the manifest names a component");
    project.join(component)
}

pub fn component(project: &Path) -> Vec<u8> {
    read(&component_path(project))
}

/// The hello example's component.
pub fn hello() -> Vec<u8> {
    component(&example("hello"))
}

/// Hello with an answer that names a release: `release 00042` and a line end.
pub fn hello_saying(release: u32) -> Vec<u8> {
    reworded(&hello(), "Hello, world!", &greeting(release))
}

/// What [`hello_saying`] answers, without the line end.
pub fn greeting(release: u32) -> String {
    format!("release {release:05}")
}

/// The stream example with events that start with a release, `r0042:` instead of `data: `.
pub fn stream_saying(release: u32) -> Vec<u8> {
    reworded(&component(&example("stream")), "data: ", &event_mark(release))
}

/// How each event of [`stream_saying`] starts.
pub fn event_mark(release: u32) -> String {
    format!("r{release:04}:")
}

/// A component with another text of the same length: nothing else in it moves.
pub fn reworded(component: &[u8], text: &str, other: &str) -> Vec<u8> {
    assert_eq!(text.len(), other.len(), "a text is replaced by one of the same length");
    let places: Vec<usize> = component
        .windows(text.len())
        .enumerate()
        .filter(|(_, window)| *window == text.as_bytes())
        .map(|(place, _)| place)
        .collect();
    let [place] = places[..] else { panic!("`{text}` is in the component {} times, not once", places.len()) };
    let mut changed = component.to_vec();
    changed[place..place + text.len()].copy_from_slice(other.as_bytes());
    changed
}

/// As [`reworded`], for components that hold a text more than once: engines keep the source beside what they made of it.
pub fn reworded_everywhere(component: &[u8], text: &str, other: &str) -> Vec<u8> {
    assert_eq!(text.len(), other.len(), "a text is replaced by one of the same length");
    let mut changed = component.to_vec();
    let mut count = 0;
    for place in 0..=component.len() - text.len() {
        if component[place..].starts_with(text.as_bytes()) {
            changed[place..place + text.len()].copy_from_slice(other.as_bytes());
            count += 1;
        }
    }
    assert!(count > 0, "`{text}` is not in the component");
    changed
}

/// A component that behaves the same and has another digest: a custom section that nobody reads.
pub fn salted(component: &[u8], salt: u32) -> Vec<u8> {
    const NAME: &[u8] = b"salt";
    let salt = salt.to_le_bytes();
    let mut changed = component.to_vec();
    // A section: its kind (0 is custom), its length, its name with a length, its content.
    changed.extend([0, (1 + NAME.len() + salt.len()) as u8, NAME.len() as u8]);
    changed.extend(NAME);
    changed.extend(salt);
    changed
}

fn project(folder: &Path) -> PathBuf {
    let component = component_path(folder);
    assert!(component.is_file(), "{} is not built: run `cargo xtask guests`", folder.display());
    folder.to_path_buf()
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask guests`", path.display()))
}
