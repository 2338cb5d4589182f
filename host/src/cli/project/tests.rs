use std::fs;
use std::path::Path;
use std::time::Duration;

use super::*;

const MANIFEST: &str = "manifest_version = 1\n[app]\nname = \"hello\"\ncomponent = \"out/app.wasm\"\n";

fn project(folder: &Path, build: &str) -> Project {
    fs::write(folder.join("typecase.toml"), format!("{MANIFEST}{build}")).unwrap();
    Project::open(folder).unwrap()
}

#[tokio::test]
async fn a_build_makes_what_is_packed() {
    let folder = tempfile::tempdir().unwrap();
    let build = "[build]\ncommand = \"mkdir -p out; echo out; echo err >&2; printf '\\\\0asm\\\\15\\\\0\\\\1\\\\0' > out/app.wasm\"\n";
    let project = project(folder.path(), build);
    assert_eq!(project.pack().unwrap_err().code(), "component-missing");
    let built = project.build(BuildOutput::Captured).await.unwrap();
    assert_eq!(built.output, "out\nerr\n");
    let bundle = project.pack().unwrap();
    assert_eq!(bundle.app.as_str(), "hello");
    assert!(bundle.path.is_file());
    let path = bundle.path.clone();
    drop(bundle);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_failed_build_says_what_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let run = async |build: &str| {
        let failed = project(folder.path(), build).build(BuildOutput::Captured).await.unwrap_err();
        (failed.failure.code().to_owned(), failed.failure.text(), failed.output)
    };
    let (code, text, output) = run("[build]\ncommand = \"echo broken; exit 3\"\n").await;
    assert_eq!((code.as_str(), output.as_str()), ("build-failed", "broken\n"));
    assert!(text.contains("`echo broken; exit 3` in ") && text.contains("exit status: 3"), "{text}");

    let (_, text, _) = run("[build]\ncommand = \"no-such-program-here\"\n").await;
    assert!(text.contains("was not found"), "{text}");
    let (code, text, _) = run("[build]\ncommand = \"true\"\nworkdir = \"nowhere\"\n").await;
    assert_eq!(code, "build-workdir-missing", "{text}");

    fs::create_dir_all(folder.path().join("target/wasm32-wasip2/release")).unwrap();
    fs::write(folder.path().join("target/wasm32-wasip2/release/other.wasm"), "").unwrap();
    let (code, text, _) = run("[build]\ncommand = \"true\"\n").await;
    assert_eq!(code, "component-missing");
    assert!(text.contains("there is target/wasm32-wasip2/release/other.wasm"), "{text}");
    let (_, text, _) = run("").await;
    assert!(text.contains("add `[build]`"), "{text}");
}

#[tokio::test]
async fn a_dropped_build_ends_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let project =
        project(folder.path(), "[build]\ncommand = \"sh -c 'echo $$ > pid; exec sleep 600'; true\"\n");
    let pid = folder.path().join("pid");
    tokio::select! {
        _ = project.build(BuildOutput::Captured) => panic!("the build does not end"),
        () = async {
            while !fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        } => {}
    }
    let pid = fs::read_to_string(&pid).unwrap();
    // A zombie that nobody collects yet has ended too.
    let stat = format!("/proc/{}/stat", pid.trim());
    while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_helper_left_behind_does_not_hold_up_the_build() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("out")).unwrap();
    fs::write(folder.path().join("out/app.wasm"), "\0asm").unwrap();
    let project = project(folder.path(), "[build]\ncommand = \"(sleep 2 &) ; echo done\"\n");
    let built = project.build(BuildOutput::Captured).await.unwrap();
    assert_eq!(built.output, "done\n");
}

#[test]
fn a_project_is_opened_by_its_folder_or_its_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[build]\ncommand = \"true\"\nworkdir = \"src\"\nwatch = [\"**/*.rs\"]\n";
    let by_folder = project(folder.path(), text);
    let by_file = Project::open(&folder.path().join("typecase.toml")).unwrap();
    assert_eq!(by_folder.watched(), by_file.watched());
    let watched = by_file.watched();
    assert_eq!(watched.sources, folder.path().join("src"));
    assert_eq!(watched.patterns, ["**/*.rs"]);
    assert_eq!(watched.component, Some(folder.path().join("out/app.wasm")));

    assert_eq!(Project::open(Path::new("/nowhere/at/all")).unwrap_err().exit, Exit::Usage);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(Project::open(empty.path()).unwrap_err().code(), "manifest-missing");
    fs::write(folder.path().join("typecase.toml"), "manifest_version = 7").unwrap();
    assert_eq!(Project::open(folder.path()).unwrap_err().code(), "manifest-invalid");
}
