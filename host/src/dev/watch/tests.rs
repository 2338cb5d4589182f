use std::fs;
use std::path::Path;

use super::*;

struct Project {
    folder: tempfile::TempDir,
    watcher: Watcher,
}

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("src/deep")).unwrap();
        fs::create_dir_all(at("static")).unwrap();
        fs::create_dir_all(at("target/debug")).unwrap();
        fs::write(at("typecase.toml"), "1").unwrap();
        fs::write(at("src/lib.rs"), "1").unwrap();
        fs::write(at("static/index.html"), "1").unwrap();
        let watching = Watching {
            folder: folder.path().to_owned(),
            manifest_file: at("typecase.toml"),
            sources: Some(folder.path().to_owned()),
            patterns: Vec::new(),
            component: Some(at("app.wasm")),
            assets: Some(at("static")),
            data: at(".typecase/dev"),
        };
        Self { watcher: Watcher::new(&watching).unwrap(), folder }
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.at(path), text).unwrap();
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join(path)
    }

    /// What has changed by now; everything that happened before is in the kernel's queue already.
    fn changed(&mut self) -> Vec<String> {
        self.watcher.changes_so_far().unwrap().paths().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn a_change_is_another_content() {
    let mut project = Project::new();
    project.write("src/lib.rs", "1");
    fs::set_permissions(project.at("src/lib.rs"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    assert_eq!(project.changed(), [""; 0]);
    project.write("src/lib.rs", "2");
    project.write("src/lib.rs", "1");
    assert_eq!(project.changed(), [""; 0]);
    project.write("src/lib.rs", "2");
    assert_eq!(project.changed(), ["src/lib.rs"]);
    fs::remove_file(project.at("src/lib.rs")).unwrap();
    assert_eq!(project.changed(), ["src/lib.rs"]);
}

#[tokio::test]
async fn editors_replace_files_and_leave_no_trace() {
    let mut project = Project::new();
    // As vim does it.
    project.write("src/4913", "");
    fs::remove_file(project.at("src/4913")).unwrap();
    fs::rename(project.at("src/lib.rs"), project.at("src/lib.rs~")).unwrap();
    project.write("src/lib.rs", "2");
    fs::remove_file(project.at("src/lib.rs~")).unwrap();
    assert_eq!(project.changed(), ["src/lib.rs"]);
    // As many others do.
    project.write("src/.lib.rs.a1b2", "3");
    project.write("src/lib-new", "3");
    fs::rename(project.at("src/lib-new"), project.at("src/lib.rs")).unwrap();
    assert_eq!(project.changed(), ["src/lib.rs"]);
}

#[tokio::test]
async fn new_folders_are_watched_and_gone_ones_are_noticed() {
    let mut project = Project::new();
    fs::create_dir_all(project.at("src/new/deeper")).unwrap();
    project.write("src/new/deeper/a.rs", "1");
    assert_eq!(project.changed(), ["src/new/deeper/a.rs"]);
    project.write("src/new/deeper/b.rs", "1");
    assert_eq!(project.changed(), ["src/new/deeper/b.rs"]);
    fs::rename(project.at("src/new"), project.at("src/old")).unwrap();
    let moved = ["src/new/deeper/a.rs", "src/new/deeper/b.rs", "src/old/deeper/a.rs", "src/old/deeper/b.rs"];
    assert_eq!(project.changed(), moved);
    fs::remove_dir_all(project.at("static")).unwrap();
    assert_eq!(project.changed(), ["static/index.html"]);
    fs::create_dir(project.at("static")).unwrap();
    project.write("static/index.html", "1");
    assert_eq!(project.changed(), ["static/index.html"]);
}

#[tokio::test]
async fn what_builds_write_is_no_change() {
    let mut project = Project::new();
    project.write("target/debug/app.d", "1");
    project.write("app.wasm", "1");
    project.write("Cargo.lock", "1");
    fs::create_dir_all(project.at(".typecase/dev/cache")).unwrap();
    project.write(".typecase/dev/cache/a", "1");
    assert_eq!(project.changed(), [""; 0]);
}

#[tokio::test]
async fn changes_come_together_once_they_rest() {
    let mut project = Project::new();
    project.write("src/lib.rs", "2");
    project.write("static/index.html", "2");
    project.write("typecase.toml", "2");
    let changes = project.watcher.next().await.unwrap();
    assert!(changes.manifest() && changes.need_build() && !changes.only_styles());
    assert_eq!(changes.paths().collect::<Vec<_>>(), ["typecase.toml", "src/lib.rs", "static/index.html"]);
    project.write("static/a.css", "2");
    assert!(project.watcher.next().await.unwrap().only_styles());
}

#[tokio::test]
async fn another_manifest_may_watch_other_files() {
    let mut project = Project::new();
    let other = |path: &Path| Watching {
        folder: path.to_owned(),
        manifest_file: path.join("typecase.toml"),
        sources: None,
        patterns: Vec::new(),
        component: Some(path.join("target/debug/app.wasm")),
        assets: None,
        data: path.join(".typecase/dev"),
    };
    project.watcher.follow(&other(project.folder.path())).unwrap();
    project.write("src/lib.rs", "2");
    project.write("target/debug/app.wasm", "2");
    assert_eq!(project.changed(), ["target/debug/app.wasm"]);
}
