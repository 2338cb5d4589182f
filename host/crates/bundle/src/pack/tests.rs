use std::fs;
use std::path::PathBuf;

use super::*;
use crate::{BundlePolicy, check};

struct Project(tempfile::TempDir);

impl Project {
    fn new(app: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("# kept as it is\nmanifest_version = 1\n[app]\nname = \"hello\"\n{app}\n");
        fs::write(folder.path().join("typecase.toml"), text).unwrap();
        Self(folder)
    }

    fn file(self, path: &str, bytes: &[u8]) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn pack(&self) -> Result<Packed, PackError> {
        pack(self.0.path())
    }

    #[track_caller]
    fn refused(&self, mentions: &str) {
        let error = self.pack().expect_err(mentions).to_string();
        assert!(error.contains(mentions), "{error}");
    }
}

const WASM: &[u8] = b"\0asm\x0d\0\x01\0";

fn full() -> Project {
    Project::new("component = \"target/deep/app.wasm\"\nassets = \"static\"\nfallback = \"index.html\"")
        .file("target/deep/app.wasm", WASM)
        .file("static/index.html", b"<p>hello")
        .file("static/a/b.png", b"picture")
        .file("static/.git/config", b"")
        .file("static/.env", b"SECRET=1")
        .file("static/.well-known/x", b"")
        .file("unrelated", b"")
}

#[test]
fn what_is_packed_is_accepted() {
    let packed = full().pack().unwrap();
    let bundle = check(packed.file.path(), &BundlePolicy::default()).unwrap();
    assert_eq!(bundle.manifest, packed.manifest);
    assert_eq!(bundle.component().unwrap().unwrap(), WASM);
    let bytes = fs::read(packed.file.path()).unwrap();
    assert_eq!((packed.digest, packed.size_bytes), (Digest::of(&bytes), bytes.len() as u64));

    let folder = tempfile::tempdir().unwrap();
    let (blob, index) = (folder.path().join("blob"), folder.path().join("index"));
    bundle.write_assets(&blob, &index).unwrap();
    let assets = crate::Assets::open(&blob, &index).unwrap();
    assert_eq!(assets.len(), 3);
    assert!(assets.contains("/.well-known/x") && !assets.contains("/.git/config"));
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let first = full().pack().unwrap();
    let second = full();
    // Neither time nor permissions of a file are part of what it says.
    let time = std::time::SystemTime::now() + std::time::Duration::from_secs(90_000);
    fs::File::options()
        .write(true)
        .open(second.path("static/index.html"))
        .unwrap()
        .set_modified(time)
        .unwrap();
    assert_eq!(first.digest, second.pack().unwrap().digest);
    let other = full().file("static/index.html", b"<p>Hello").pack().unwrap();
    assert_ne!(first.digest, other.digest);
}

#[test]
fn a_bare_component_becomes_a_bundle() {
    let project = Project::new("").file("app.wasm", WASM);
    let name: AppName = "bare".parse().unwrap();
    let packed = pack_component(&name, &project.path("app.wasm")).unwrap();
    let bundle = check(packed.file.path(), &BundlePolicy::default()).unwrap();
    assert_eq!(bundle.manifest, Manifest::for_component(name.clone()));
    assert!(!bundle.has_assets());

    let out = project.path("out.zip");
    let written = wrap_component(&name, &project.path("app.wasm"), &out).unwrap();
    assert_eq!((written.digest, written.size_bytes), (packed.digest, packed.size_bytes));
}

#[test]
fn refusals_name_the_file_and_the_remedy() {
    let component = "component = \"app.wasm\"";
    Project::new(component).refused("app.wasm does not exist: build it, or correct the path");
    Project::new(&format!("{component}\n[build]\ncommand = \"make app\""))
        .refused("run `typecase build`, which runs `make app`");
    Project::new(component).file("app.wasm", b"text").refused("app.wasm is not WebAssembly");
    Project::new("assets = \"static\"").refused("create it, or correct `assets`");
    Project::new("assets = \"static\"").file("static/.DS_Store", b"").refused("has no files");
    Project::new("assets = \"static\"\nfallback = \"app.html\"")
        .file("static/index.html", b"")
        .refused("app.html does not exist");
    Project::new("assets = \"static\"").file("static/a\\b", b"").refused("backslash");
    Project::new("asets = \"static\"")
        .refused("typecase.toml:5:1: unknown key `asets`: did you mean `assets`?");

    let empty = tempfile::tempdir().unwrap();
    let error = pack(empty.path()).unwrap_err().to_string();
    assert!(error.contains("has no typecase.toml"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    let project = Project::new("assets = \"static\"").file("static/index.html", b"");
    std::os::unix::fs::symlink("/etc", project.path("static/etc")).unwrap();
    project.refused("static/etc is a symbolic link");
}
