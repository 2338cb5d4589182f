//! `typecase new`: each template as a stranger meets it, made, tested, built, published and called.
//!
//! What cargo and npm fetch is fetched once and kept in `target/templates`; after that nothing here needs the network.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use typecase_harness::{TestNode, command, guests};

/// Kept between runs.
fn cache(name: &str) -> PathBuf {
    let folder = guests::root().join("target/templates").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A new project of a template.
struct Project {
    folder: PathBuf,
    _outer: TempDir,
}

impl Project {
    async fn new(template: &str, name: &str) -> Self {
        let outer = tempfile::tempdir().unwrap();
        let mut new = command::typecase();
        new.args(["new", template, name, "--json"]).current_dir(outer.path());
        let made = command::run_command(new).await.expect(0).json();
        assert_eq!(made["next"], json!([format!("cd {name}"), "typecase dev"]));
        let folder = outer.path().join(name);
        assert!(folder.join(".typecase/manifest.schema.json").is_file());
        Self { folder, _outer: outer }
    }

    /// Rust projects share one target folder: they are made of the same crates.
    async fn rust(template: &str, name: &str) -> Self {
        let project = Self::new(template, name).await;
        symlink(cache("rust"), project.folder.join("target")).unwrap();
        // What was fetched once is enough; the first time, it is not.
        if !succeeds(project.program("cargo", &["fetch", "--offline"])) {
            project.run("cargo", &["fetch"]);
        }
        project
    }

    /// Projects of one template have the same packages, whatever the app is called.
    async fn node(template: &str, name: &str) -> Self {
        let project = Self::new(template, name).await;
        let cache = cache(template);
        let text = |folder: &Path| fs::read_to_string(folder.join("package-lock.json")).unwrap_or_default();
        if text(&cache) != text(&project.folder) {
            for file in ["package.json", "package-lock.json"] {
                fs::copy(project.folder.join(file), cache.join(file)).unwrap();
            }
            run(program("npm", &["ci", "--no-audit", "--no-fund"], &cache));
        }
        symlink(cache.join("node_modules"), project.folder.join("node_modules")).unwrap();
        // As old as what is installed, so that the build installs nothing.
        let lock = fs::File::options().append(true).open(project.folder.join("package-lock.json")).unwrap();
        lock.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        project
    }

    fn program(&self, name: &str, arguments: &[&str]) -> Command {
        program(name, arguments, &self.folder)
    }

    fn run(&self, name: &str, arguments: &[&str]) {
        run(self.program(name, arguments));
    }

    /// The loop of its README: build, publish.
    async fn publish(&self, node: &TestNode) -> Value {
        let path = self.folder.display().to_string();
        let built = command::run(["build", &path, "--json"]).await.expect(0).json();
        assert_eq!(built["problems"], json!([]), "{built}");
        let published = node.publish_dir(&self.folder).await;
        assert_eq!(published["state"], "active", "{published}");
        published
    }
}

fn program(name: &str, arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).env("CARGO_NET_OFFLINE", "true");
    // What cargo says of this very test is not true of the project.
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_TARGET_DIR"]
            .iter()
            .any(|prefix| shown.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    if arguments == ["fetch"] {
        command.env_remove("CARGO_NET_OFFLINE");
    }
    command
}

fn succeeds(mut command: Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

#[track_caller]
fn run(mut command: Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The JavaScript engine is large, and this build's compiler is slow.
async fn patient_node() -> TestNode {
    TestNode::builder()
        .config("limits", "compile_timeout_ms", 200_000)
        .config("limits", "rollout_timeout_ms", 220_000)
        .start()
        .await
}

#[tokio::test]
async fn projects_in_rust_are_tested_built_published_and_answer() {
    let node = TestNode::start().await;
    let page = Project::rust("rust-http", "page").await;
    page.run("cargo", &["test", "--quiet"]);
    page.publish(&node).await;
    assert!(node.get("/page/").await.expect(200).text().contains("<h1>It works</h1>"));
    assert_eq!(node.get("/page/hello/Ann?loud=true").await.expect(200).text(), "HELLO, ANN!\n");
    let problem = node.get("/page/nowhere").await.expect(404);
    assert_eq!(
        (problem.header("content-type"), &problem.json()["code"]),
        ("application/problem+json", &"not-found".into())
    );
    let entry = node.app_entry("page", &["greeting Ann"]).await;
    assert_eq!(entry["level"], "info", "{entry}");

    let shop = Project::rust("rust-json-api", "shop").await;
    shop.run("cargo", &["test", "--quiet"]);
    shop.publish(&node).await;
    assert!(node.get("/shop/").await.expect(200).text().contains("href=\"products\""));
    assert_eq!(node.get("/shop/products/ink").await.expect(200).json()["price_cents"], 1_250);
    assert_eq!(node.get("/shop/products/tea").await.expect(404).json()["code"], "product-unknown");
    assert_eq!(
        node.send(Method::POST, "/shop/quotes", "{}").await.expect(422).json()["code"],
        "json-invalid"
    );
    let quote =
        node.send(Method::POST, "/shop/quotes", r#"{"product": "ink", "count": 2}"#).await.expect(201);
    assert_eq!((&quote.json()["net_cents"], &quote.json()["tax_cents"]), (&json!(2_500), &json!(500)));
    let refused = node.send(Method::DELETE, "/shop/quotes", "").await.expect(405);
    assert_eq!(refused.header("allow"), "POST");
}

#[tokio::test]
async fn a_static_site_is_published_and_answers() {
    let node = TestNode::start().await;
    let site = Project::new("static-site", "site").await;
    site.publish(&node).await;
    assert!(node.get("/site/").await.expect(200).text().contains("of <strong>site</strong>"));
    assert_eq!(
        node.get("/site/style.css").await.expect(200).header("content-type"),
        "text/css; charset=utf-8"
    );
}

#[tokio::test]
async fn projects_in_javascript_are_tested_built_published_and_answer() {
    let node = patient_node().await;
    for template in ["javascript", "typescript"] {
        let project = Project::node(template, template).await;
        project.run("npm", &["test", "--silent"]);
        project.publish(&node).await;
        let path = |rest: &str| format!("/{template}{rest}");
        assert!(node.get(&path("/")).await.expect(200).text().contains("<h1>It works</h1>"));
        assert_eq!(node.get(&path("/hello?name=Ann")).await.expect(200).text(), "Hello, Ann!\n");
        let set = ["config", "set", template, "greeting=Hi"];
        node.cli(set).await.expect(0);
        assert_eq!(node.get(&path("/hello?name=Ann")).await.expect(200).text(), "Hi, Ann!\n");
        let sum = node.send(Method::POST, &path("/sum"), "[1, 2.5]").await.expect(200);
        assert_eq!(sum.json(), json!({ "sum": 3.5 }));
        assert_eq!(
            node.get(&path("/nowhere")).await.expect(404).header("content-type"),
            "application/problem+json"
        );
        node.app_entry(template, &["greeting Ann"]).await;
    }
}

#[tokio::test]
async fn a_project_in_python_is_tested_and_built() {
    let project = Project::new("python", "numbers").await;
    project.run("python3", &["-m", "unittest", "--quiet"]);
    // An environment knows its own path, so it is made where it stays. The first build fills it.
    let environment = cache("python");
    if !environment.join("bin/pip").is_file() {
        run(program("python3", &["-m", "venv", "."], &environment));
    }
    symlink(&environment, project.folder.join(".venv")).unwrap();
    let path = project.folder.display().to_string();
    let built = command::run(["build", &path, "--json"]).await.expect(0).json();
    assert_eq!(built["problems"], json!([]), "{built}");
}

#[tokio::test]
async fn without_a_terminal_nothing_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in
        [&["new"][..], &["new", "rust-http"], &["new", "nonsense", "app"], &["new", "static-site", "No"]]
    {
        let mut new = command::typecase();
        new.args(arguments).current_dir(folder.path());
        let output = command::run_command(new).await.expect(2);
        if arguments.last() != Some(&"No") {
            assert!(output.stderr.contains("static-site  "), "{output:#?}");
        }
    }
    let mut new = command::typecase();
    new.args(["new", "static-site", "site", "--folder", "."]).current_dir(folder.path());
    command::run_command(new).await.expect(0);
    let mut again = command::typecase();
    again.args(["new", "static-site", "site", "--folder", ".", "--json"]).current_dir(folder.path());
    assert_eq!(command::run_command(again).await.expect(1).json()["code"], "folder-not-empty");
}
