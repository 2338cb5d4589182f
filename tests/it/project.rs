//! What authors do before they publish: build, check, and publish with a build, all through the command line.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;
use typecase_harness::bundles::Bundle;
use typecase_harness::command::Output;
use typecase_harness::{TestNode, command, guests};

/// A folder with a manifest and sources; its build command copies a component that is built already.
struct Project(TempDir);

impl Project {
    fn new(lines: &str) -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        fs::write(project.path().join("built.wasm"), guests::hello()).unwrap();
        project.manifest(&format!(
            "manifest_version = 1\n[app]\nname = \"hello\"\ncomponent = \"out/app.wasm\"\n{lines}\n[build]\ncommand = \"mkdir -p out && cp built.wasm out/app.wasm\"\n"
        ));
        project
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn manifest(&self, text: &str) {
        fs::write(self.path().join("typecase.toml"), text).unwrap();
    }

    fn bundle(&self) -> PathBuf {
        self.path().join(".typecase/hello.zip")
    }

    /// Runs a command with this folder as its last argument.
    async fn run(&self, arguments: &[&str]) -> Output {
        let folder = self.path().display().to_string();
        command::run(arguments.iter().copied().chain([folder.as_str()])).await
    }
}

#[tokio::test]
async fn a_build_gives_the_bundle_that_a_server_takes() {
    let node = TestNode::start().await;
    let project = Project::new("");
    let built = project.run(&["build", "--json"]).await.expect(0);
    assert!(built.stderr.is_empty(), "{built:?}");
    let built = built.json();
    assert_eq!((&built["accepted"], &built["component"]["wasi"]), (&json!(true), &json!("0.2")));
    let bundle = fs::read(project.bundle()).unwrap();
    assert_eq!(built["size_bytes"], bundle.len());
    let elsewhere = project.path().join("elsewhere.zip");
    project.run(&["build", "--output", elsewhere.to_str().unwrap()]).await.expect(0);
    assert_eq!(fs::read(&elsewhere).unwrap(), bundle, "the same inputs give the same bundle");

    let published =
        node.cli(["publish", project.bundle().to_str().unwrap(), "--json"]).await.expect(0).json();
    assert_eq!(published["digest"], built["digest"]);
    // And so does the folder: nothing would change.
    let folder = project.path().display().to_string();
    let again = node.cli(["publish", &folder, "--json"]).await.expect(0).json();
    assert_eq!(again["unchanged"], true);
}

#[tokio::test]
async fn a_build_that_fails_leaves_nothing_to_publish() {
    let project = Project::new("");
    project.run(&["build"]).await.expect(0);
    assert!(project.bundle().is_file());
    fs::remove_file(project.path().join("built.wasm")).unwrap();
    let failed = project.run(&["build"]).await.expect(1);
    assert!(failed.stderr.contains("built.wasm"), "the command's own words: {failed:?}");
    assert!(failed.stderr.contains("error: the build failed: `mkdir -p out && cp"), "{failed:?}");
    assert!(!project.bundle().exists());

    // A component that no server takes is not packed either.
    fs::write(project.path().join("built.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    let refused = project.run(&["build", "--json"]).await.expect(1);
    assert_eq!(
        (&refused.json()["code"], &refused.json()["accepted"]),
        (&json!("wrong-world"), &json!(false))
    );
    assert!(!project.bundle().exists());
}

#[tokio::test]
async fn a_publish_builds_when_it_is_told_to() {
    let node = TestNode::start().await;
    let project = Project::new("");
    let folder = project.path().display().to_string();
    let missing = node.cli(["publish", &folder, "--json"]).await.expect(1);
    assert_eq!(missing.json()["code"], "component-missing");
    assert!(missing.stderr.contains("run `typecase build`"), "{missing:?}");
    node.cli(["publish", &folder, "--build"]).await.expect(0);
    assert_eq!(node.get("/hello/").await.expect(200).text(), "Hello, world!\n");

    // The change is not built yet: the publish says so, and publishes what is there.
    fs::write(project.path().join("built.wasm"), guests::hello_saying(2)).unwrap();
    fs::write(project.path().join("main.rs"), "").unwrap();
    let stale = node.cli(["publish", &folder, "--json"]).await.expect(0);
    assert!(stale.stderr.contains("main.rs is newer than the component"), "{stale:?}");
    assert_eq!(stale.json()["unchanged"], true);
    let fresh = node.cli(["publish", &folder, "--build", "--json"]).await.expect(0);
    assert_eq!((&fresh.json()["release"], fresh.stderr.as_str()), (&json!(2), ""));
}

#[tokio::test]
async fn a_check_says_everything_and_keeps_nothing() {
    let node = TestNode::builder().config("limits", "max_memory_mb", 256).start().await;
    let other = Bundle::of("other").asset("a", "x").manifest("hosts = [\"taken.example\"]");
    assert_eq!(node.api().publish("other", other.zip(), "").await.status, 200);

    let asks = "hosts = [\"free.example\", \"taken.example\"]\n[limits]\nmemory_mb = 512\n[grants]\nsql = [\"main\"]\n[config]\nkey = { required = true }\n";
    let project = Project::new(asks);
    project.run(&["build"]).await.expect(1);
    let folder = project.path().display().to_string();
    let refused = node.cli(["check", &folder]).await.expect(1);
    for says in [
        "typecase.toml:5:26: the host `taken.example` belongs to the app `other`",
        "typecase.toml:7:13: [limits] memory_mb = 512 is above this server's maximum of 256",
        "typecase.toml:9:7: [grants] sql: this server does not offer",
        "typecase.toml:11:7: key is required: `typecase config set hello key=VALUE`",
        "11 | key = { required = true }",
    ] {
        assert!(refused.stderr.contains(says), "{says}\n-- {}", refused.stderr);
    }
    let document = node.cli(["check", &folder, "--json"]).await.expect(1).json();
    let codes: Vec<&str> = document["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["manifest-unsupported", "limit-too-high", "host-taken", "config-incomplete"]);
    // By the rules of a server as it comes, without one.
    let offline = project.run(&["check", "--offline", "--json"]).await.expect(1).json();
    assert_eq!(offline["problems"].as_array().unwrap().len(), 1);
    node.api().get("/api/v1/apps/hello").await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn what_is_too_large_for_the_server_is_not_even_packed() {
    let node = TestNode::builder().config("limits", "bundle_mb", 1).start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::create_dir(path.join("static")).unwrap();
    fs::write(
        path.join("typecase.toml"),
        "manifest_version = 1\n[app]\nname = \"films\"\nassets = \"static\"\n",
    )
    .unwrap();
    let film = |bytes: u64| fs::File::create(path.join("static/film.mp4")).unwrap().set_len(bytes).unwrap();
    let shown = path.display().to_string();
    film(3 << 20);
    for command in ["publish", "check"] {
        let refused = node.cli([command, &shown, "--json"]).await.expect(1);
        assert_eq!(refused.json()["code"], "bundle-too-large", "{command}");
        for says in ["the 1 MiB that the server accepts", "static/film.mp4 (3 MiB)", "limits.bundle_mb"] {
            assert!(refused.stderr.contains(says), "{says}: {refused:?}");
        }
    }
    // Another server may take it, and the bundle says no more than the folder.
    let zip = path.join("films.zip").display().to_string();
    command::run(["build", &shown, "--output", &zip]).await.expect(0);
    let refused = node.cli(["publish", &zip]).await.expect(1);
    assert!(refused.stderr.contains("films.zip (3.0 MiB)"), "{refused:?}");
    // No server takes this.
    film(5 << 30);
    let refused = command::run(["build", &shown, "--json"]).await.expect(1);
    assert_eq!(refused.json()["code"], "bundle-expansion");
    assert!(refused.stderr.contains("static/film.mp4 (5120 MiB)"), "{refused:?}");

    film(1 << 10);
    for name in ["a", "b"] {
        std::os::unix::fs::symlink("/etc/hostname", path.join("static").join(name)).unwrap();
    }
    let refused = node.cli(["publish", &shown, "--json"]).await.expect(1);
    assert_eq!(refused.json()["problems"].as_array().unwrap().len(), 2, "{refused:?}");
    assert!(refused.stderr.contains("2 files cannot be packed:"), "{refused:?}");
}

#[tokio::test]
async fn a_check_of_what_is_fine_tells_what_it_replaces() {
    let node = TestNode::start().await;
    let hello = guests::example("hello");
    let folder = hello.display().to_string();
    let first = node.cli(["check", &folder, "--json"]).await.expect(0).json();
    assert_eq!((&first["accepted"], &first["replaces"]), (&json!(true), &json!(null)));
    node.publish_dir(&hello).await;
    let same = node.cli(["check", &folder]).await.expect(0);
    assert!(same.stdout.contains("serves already as release 1"), "{same:?}");
    let component = guests::component_path(&hello).display().to_string();
    let bare = node.cli(["check", &component, "--name", "hello", "--json"]).await.expect(0).json();
    assert_eq!((&bare["replaces"]["release"], &bare["replaces"]["same"]), (&json!(1), &json!(false)));
    assert_eq!(node.api().releases("hello").await.len(), 1);

    // A broken archive is a finding like any other.
    let answer = node.api().check("hello", b"PK\x03\x04".to_vec()).await.expect(200).json();
    assert_eq!(
        (&answer["accepted"], &answer["problems"][0]["code"]),
        (&json!(false), &json!("bundle-truncated"))
    );
}
