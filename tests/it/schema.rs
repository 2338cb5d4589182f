//! The JSON Schema of the manifest: as editors get it, and what it says of manifests that are known to be right or wrong.
//!
//! `TYPECASE_REWRITE=1 cargo nextest run -p typecase-it -E 'test(schema::)'` writes the files that are made of it anew.

mod reference;

use std::fs;
use std::path::Path;

use serde_json::Value;
use typecase_harness::{command, guests};

async fn schema() -> Value {
    command::run(["schema", "--json"]).await.expect(0).json()
}

/// Compares a file that is made of the program with what it should be, or writes it.
fn assert_fresh(path: &str, expected: &str) {
    let file = guests::root().join(path);
    if std::env::var_os("TYPECASE_REWRITE").is_some() {
        fs::write(&file, expected).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == expected,
        "{path} is not fresh: run `TYPECASE_REWRITE=1 cargo nextest run -p typecase-it -E 'test(schema::)'`"
    );
}

#[tokio::test]
async fn the_files_made_of_it_are_fresh() {
    let text = command::run(["schema"]).await.expect(0).stdout;
    assert_fresh("sdk/schema/typecase.schema.json", &text);
    assert_fresh("docs/manifest.md", &reference::page(&schema().await));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("schema.json");
    let write = ["schema", "--json", "--output", file.to_str().unwrap()];
    assert_eq!(command::run(write).await.expect(0).json()["changed"], true);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert_eq!(command::run(write).await.expect(0).json()["changed"], false);
}

fn document(text: &str) -> Value {
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{text}\n{error}"));
    serde_json::to_value(table).unwrap()
}

/// Every manifest of examples, guests and templates that is complete as it stands.
fn manifests(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && name != "target" && name != "node_modules" {
            manifests(&path, found);
        } else if name == "typecase.toml" {
            let text = fs::read_to_string(&path).unwrap();
            // A template's placeholders are no names yet.
            if !text.contains("{{") {
                found.push(text);
            }
        }
    }
}

#[tokio::test]
async fn it_accepts_what_the_parser_accepts() {
    let validator = jsonschema::draft202012::new(&schema().await).unwrap();
    let mut texts = Vec::new();
    manifests(&guests::root().join("examples"), &mut texts);
    manifests(&guests::root().join("tests/guests"), &mut texts);
    assert!(texts.len() > 8, "there are {} manifests", texts.len());
    texts.push(FULL.to_owned());
    for text in texts {
        let errors: Vec<String> = validator.iter_errors(&document(&text)).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{text}\n{errors:#?}");
    }
}

const FULL: &str = r#"
manifest_version = 1
[app]
name = "shop-2"
version = "1.2.0"
component = "../target/wasm32-wasip2/release/shop.wasm"
assets = "static/"
health = "/health?deep=1"
hosts = ["shop.example.com", "a.b-c.example", "localhost", "3com.example"]
fallback = "index.html"
[build]
command = "make"
workdir = ".."
watch = ["src/**"]
[access]
default = ["admin"]
paths = { "/admin/..." = ["admin", "owner"], "/about" = "public", "/" = "signed-in", "/a.b" = "public" }
[limits]
memory_mb = 64
[grants]
outbound_hosts = ["https://api.example.com"]
[config]
greeting = { default = "hi" }
api-key = { required = true, secret = true }
[[schedule]]
cron = "0 3 * * *"
path = "/nightly"
"#;

#[tokio::test]
async fn it_refuses_what_an_editor_should_mark() {
    let validator = jsonschema::draft202012::new(&schema().await).unwrap();
    let base = "manifest_version = 1\n[app]\nname = \"hello\"\ncomponent = \"a.wasm\"\n";
    let cases = [
        base.replace("manifest_version = 1", "manifest_version = 2"),
        base.replace("manifest_version = 1", "surprise = 1\nmanifest_version = 1"),
        base.replace("hello", "Hello World"),
        base.replace("hello", "console"),
        base.replace("hello", "-a"),
        base.replace("a.wasm", "/etc/passwd"),
        base.replace("a.wasm", "C:/a.wasm"),
        base.replace("a.wasm", "a\\\\b.wasm"),
        base.replace("component = \"a.wasm\"", "version = \"1\""),
        base.replace("component = \"a.wasm\"", "component = 5"),
        format!("{base}helth = \"/\"\n"),
        format!("{base}health = \"health\"\n"),
        format!("{base}health = \"//evil\"\n"),
        format!("{base}health = \"/a b\"\n"),
        format!("{base}hosts = [\"https://b.example\"]\n"),
        format!("{base}hosts = [\"10.0.0.1\"]\n"),
        format!("{base}hosts = [\"a.example\", \"a.example\"]\n"),
        format!("{base}hosts = [\"A.example\"]\n"),
        format!("{base}fallback = \"index.html\"\n"),
        format!("{base}[build]\nwatch = []\n"),
        format!("{base}[limits]\nmemory_mb = 0\n"),
        format!("{base}[limits]\nmemory_mb = \"big\"\n"),
        format!("{base}[limit]\nmemory_mb = 1\n"),
        format!("{base}[access]\ndefault = \"everyone\"\n"),
        format!("{base}[access]\ndefault = []\n"),
        format!("{base}[access]\npaths = {{ \"admin\" = \"public\" }}\n"),
        format!("{base}[access]\npaths = {{ \"/a.../b\" = \"public\" }}\n"),
        format!("{base}[config]\n\"Bad Key\" = {{}}\n"),
        format!("{base}[config]\nk = {{ secret = true, default = \"x\" }}\n"),
        format!("{base}[config]\nk = {{ required = true, default = \"x\" }}\n"),
        format!("{base}[[schedule]]\ncron = \"daily\"\npath = \"/\"\n"),
    ];
    for text in cases {
        assert!(!validator.is_valid(&document(&text)), "{text}");
    }
}
