use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use typecase_model::{AppName, Manifest};

use super::{folder, template, vendor};

/// What a folder holds, but for what builds leave there.
fn listed(folder: &Path) -> BTreeSet<String> {
    fn walk(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["target", "node_modules", "dist"].contains(&name.as_str()) {
                walk(&path, root, found);
            } else if path.is_file() {
                found.insert(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(folder, folder, &mut found);
    found
}

fn sdk(below: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk").join(below)
}

#[test]
fn every_file_of_a_template_is_brought_along() {
    let folders: BTreeSet<String> = fs::read_dir(sdk("templates"))
        .unwrap()
        .filter_map(|entry| {
            Some(entry.ok().filter(|entry| entry.path().is_dir())?.file_name().into_string().unwrap())
        })
        .collect();
    assert_eq!(folders, template::ALL.iter().map(|template| template.name.to_owned()).collect());
    for template in template::ALL {
        let files: BTreeSet<String> = template.paths().map(str::to_owned).collect();
        assert_eq!(files, listed(&sdk("templates").join(template.name)), "{}", template.name);
    }
}

#[test]
fn every_source_of_the_sdk_is_brought_along() {
    for (folder, paths) in vendor::paths() {
        let mut wanted = listed(&sdk(folder));
        wanted.retain(|path| !path.starts_with("tests/"));
        assert_eq!(paths.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), wanted);
    }
}

#[test]
fn manifests_are_right_and_name_the_app() {
    let app: AppName = "ink-9".parse().unwrap();
    for template in template::ALL {
        let files = template.files_for(&app);
        let text = &files.iter().find(|(path, _)| path == "typecase.toml").unwrap().1;
        let manifest = Manifest::parse(text, "typecase.toml").unwrap();
        assert_eq!(manifest.app.name, app);
        assert!(manifest.unsupported().is_empty());
        assert_eq!(text.lines().next(), Some("#:schema .typecase/manifest.schema.json"));
        for (path, text) in &files {
            assert!(!text.contains("my-app") && !text.contains("my_app"), "{}/{path}", template.name);
        }
    }
}

#[test]
fn a_folder_with_anything_in_it_is_left_alone() {
    let outer = tempfile::tempdir().unwrap();
    let files = [("a/b.txt".to_owned(), "1".to_owned())];
    let (new, empty, used) =
        (outer.path().join("x/new"), outer.path().join("empty"), outer.path().join("used"));
    fs::create_dir_all(&empty).unwrap();
    fs::create_dir_all(&used).unwrap();
    fs::write(used.join("mine"), "").unwrap();
    for path in [&new, &empty] {
        folder::create(path, &files).unwrap();
        assert_eq!(fs::read_to_string(path.join("a/b.txt")).unwrap(), "1");
    }
    assert_eq!(folder::create(&used, &files).unwrap_err().code(), "folder-not-empty");
    assert_eq!(listed(&used), BTreeSet::from(["mine".to_owned()]));
    // What was begun is taken away again.
    let clash = [files[0].clone(), ("a/b.txt/c".to_owned(), String::new())];
    assert_eq!(folder::create(&outer.path().join("half"), &clash).unwrap_err().code(), "not-written");
    assert!(!outer.path().join("half").exists());
}
