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
    let packed =
        Plan::of_component(&name, &project.path("app.wasm")).unwrap().pack(BUNDLE_BYTES_MAX).unwrap();
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

#[test]
fn links_are_not_followed_and_named_all_at_once() {
    let link = |project: &Project, to: &str| std::os::unix::fs::symlink("/etc", project.path(to)).unwrap();
    let project = Project::new("assets = \"static\"").file("static/a/index.html", b"");
    link(&project, "static/etc");
    project.refused("static/etc is a symbolic link");
    link(&project, "static/a/etc");
    let project = project.file("static/a\\b", b"");
    let error = project.pack().unwrap_err();
    assert_eq!((error.problems().len(), error.code()), (3, error.problems()[0].code()));
    let text = error.to_string();
    assert!(text.starts_with("3 files cannot be packed:\n  "), "{text}");
    for says in ["static/etc is a symbolic link", "static/a/etc is a symbolic link", "a\\b cannot be packed"]
    {
        assert!(text.contains(says), "{says}: {text}");
    }
    for number in 0..30 {
        link(&project, &format!("static/{number}"));
    }
    let text = project.pack().unwrap_err().to_string();
    assert!(text.starts_with("33 files") && text.ends_with("\n  and 13 more"), "{text}");
}

/// A file that takes no space on disk.
fn sparse(project: &Project, path: &str, bytes: u64) {
    fs::File::create(project.path(path)).unwrap().set_len(bytes).unwrap();
}

#[test]
fn what_is_too_large_is_refused_before_it_is_compressed() {
    let project = || {
        Project::new("component = \"app.wasm\"\nassets = \"static\"")
            .file("app.wasm", WASM)
            .file("static/index.html", b"<p>hello")
    };
    // Larger than the format itself can hold, and minutes of compression.
    let huge = project();
    sparse(&huge, "static/video.raw", 5 << 30);
    let error = huge.pack().unwrap_err();
    assert_eq!(error.code(), "bundle-expansion");
    let text = error.to_string();
    for says in ["5120.0 MiB altogether", "at most 1024 MiB", "static/video.raw (5120 MiB), ", "leave out"] {
        assert!(text.contains(says), "{says}: {text}");
    }

    let heavy = project();
    fs::OpenOptions::new().write(true).open(heavy.path("app.wasm")).unwrap().set_len(257 << 20).unwrap();
    let error = heavy.pack().unwrap_err();
    assert_eq!(error.code(), "component-too-large");
    assert!(error.to_string().contains("app.wasm (257 MiB) is larger than the 256 MiB"), "{error}");
}

#[test]
fn a_bundle_ends_at_the_servers_limit() {
    let plan = |project: &Project| {
        let (text, manifest) = read_manifest(project.0.path()).unwrap();
        Plan::of_project(project.0.path(), &text, &manifest).unwrap()
    };
    let project = Project::new("assets = \"static\"").file("static/index.html", b"<p>hello");
    // What is stored as it is cannot become smaller: known without reading it.
    sparse(&project, "static/video.mp4", 3 << 20);
    let error = plan(&project).pack(2 << 20).unwrap_err();
    assert_eq!(error.code(), "bundle-too-large");
    let text = error.to_string();
    for says in ["the 2 MiB that the server accepts", "static/video.mp4 (3 MiB)", "limits.bundle_mb"] {
        assert!(text.contains(says), "{says}: {text}");
    }
    plan(&project).pack(4 << 20).unwrap();

    // What compresses badly is known as it is written.
    let noise: Vec<u8> =
        (0..1u32 << 18).flat_map(|n| Digest::of(&n.to_le_bytes()).hex().into_bytes()[..8].to_vec()).collect();
    let project = Project::new("assets = \"static\"").file("static/noise.txt", &noise);
    assert_eq!(plan(&project).pack(1 << 19).unwrap_err().code(), "bundle-too-large");
    let packed = plan(&project).pack(2 << 20).unwrap();
    assert_eq!(plan(&project).pack(packed.size_bytes).unwrap().digest, packed.digest);
    assert_eq!(plan(&project).pack(packed.size_bytes - 1).unwrap_err().code(), "bundle-too-large");
}

/// Servers take what grows more than 200 times for a bomb.
#[test]
fn what_would_be_taken_for_a_bomb_is_packed_as_it_is() {
    let text = "all the same\n".repeat(1 << 18);
    let project = Project::new("assets = \"static\"").file("static/table.txt", text.as_bytes());
    sparse(&project, "static/blank.bmp", 3 << 20);
    let packed = project.pack().unwrap();
    check(packed.file.path(), &BundlePolicy::default()).unwrap();
    assert!(packed.size_bytes > 3 << 20, "{}", packed.size_bytes);
}
