//! Manifests that are wrong, and what their authors are told.

use super::assert_text;
use super::sandbox::Sandbox;

const HEAD: &str = "manifest_version = 1\n\n[app]\nname = \"hello\"\ncomponent = \"app.wasm\"\n";

/// What is wrong, and the manifest's text.
fn cases() -> Vec<(&'static str, String)> {
    let with = |lines: &str| format!("{HEAD}{lines}");
    vec![
        ("no text of TOML", "manifest_version = 1\n[app\nname = \"hello\"\n".into()),
        ("a text that is not closed", with("description = \"Sells things\n")),
        ("another version", HEAD.replace("manifest_version = 1", "manifest_version = 2")),
        ("no version", HEAD.replace("manifest_version = 1\n", "")),
        ("no name", HEAD.replace("name = \"hello\"\n", "")),
        ("a misspelt key", with("helth = \"/\"\n")),
        ("a misspelt section", with("\n[limit]\nmemory_mb = 64\n")),
        ("a key that is unlike any", with("\n[limits]\nbandwidth = 1\n")),
        ("a value of another type", with("\n[limits]\nmemory_mb = \"64 MB\"\n")),
        ("a limit of nothing", with("\n[limits]\nqueue = 0\n")),
        ("a name that is none", HEAD.replace("hello", "Hello World")),
        ("a reserved name", HEAD.replace("hello", "console")),
        ("neither component nor assets", HEAD.replace("component = \"app.wasm\"\n", "")),
        ("an absolute path", HEAD.replace("app.wasm", "/opt/app.wasm")),
        ("a health path without a slash", with("health = \"health\"\n")),
        (
            "hosts that are none",
            with("hosts = [\"shop.example\", \"https://shop.example\", \"shop.example\"]\n"),
        ),
        ("a fallback without assets", with("fallback = \"index.html\"\n")),
        ("a rule of access that is none", with("\n[access]\ndefault = \"everyone\"\n")),
        ("a secret in the open", with("\n[config]\ntoken = { secret = true, default = \"hunter2\" }\n")),
        ("a value where a config has a table", with("\n[config]\ngreeting = 'Hello'\nretries = 3\n")),
        (
            "numbers beyond all bounds",
            with(
                "\n[limits]\nqueue = 99999999999999999999\nmemory_mb = -1\ncpu_ms = 1.5\nbody_mb = 5000000000\n",
            ),
        ),
        ("a key of a config that is none", with("\n[config]\n\"API Key\" = {}\n")),
        ("a schedule that is none", with("\n[[schedule]]\ncron = \"daily\"\npath = \"nightly\"\n")),
        (
            "many things at once",
            with("helth = 1\nhosts = 5\n\n[build]\ncommnd = \"make\"\n\n[limits]\nqueue = 0\n"),
        ),
        (
            "what no server of this version honours",
            with(
                "\n[access]\ndefault = \"signed-in\"\n\n[grants]\nkeyvalue = [\"default\"]\n\n[[schedule]]\ncron = \"0 3 * * *\"\npath = \"/nightly\"\n",
            ),
        ),
        ("a component that is not there", HEAD.replace("app.wasm", "other.wasm")),
        (
            "a component that is not built",
            format!("{}\n[build]\ncommand = \"make\"\n", HEAD.replace("app.wasm", "other.wasm")),
        ),
        ("assets that are not there", with("assets = \"static\"\n")),
    ]
}

#[tokio::test]
async fn wrong_manifests() {
    let sandbox = Sandbox::new();
    sandbox.app("");
    let mut text = String::new();
    for (what, manifest) in cases() {
        sandbox.manifest(&manifest);
        text.push_str(&format!("== {what}\n{}", sandbox.run("check hello --offline").await));
    }
    assert!(text.matches("[exit 1]").count() == cases().len(), "{text}");
    assert_text("wrong_manifests", &text);
}

#[tokio::test]
async fn folders_and_files_that_are_no_project() {
    let sandbox = Sandbox::new();
    sandbox.file("empty/notes.txt", b"");
    sandbox.file("text.wasm", b"(module)");
    sandbox.file("spin/spin.toml", SPIN.as_bytes());
    sandbox.file("old-spin/spin.toml", b"spin_manifest_version = \"1\"\nname = \"hello\"\n");
    let mut text = String::new();
    for line in [
        "check empty --offline",
        "check nowhere --offline",
        "check empty/notes.txt --offline",
        "check text.wasm --offline",
        "check text.wasm --name hello --offline",
        "check spin --offline",
        "check old-spin --offline",
    ] {
        text.push_str(&sandbox.run(line).await);
    }
    assert_text("no_projects", &text);
}

const SPIN: &str = r#"spin_manifest_version = 2

[application]
name = "shop"

[variables]
host = { default = "example.com" }

[[trigger.http]]
route = "/shop/..."
component = "shop"

[[trigger.redis]]
channel = "orders"
component = "shop"

[component.shop]
source = { url = "https://example.com/shop.wasm", digest = "sha256:00" }
files = [{ source = "images", destination = "/" }]
allowed_outbound_hosts = ["https://{{ host }}"]
key_value_stores = ["default"]
environment = { DEBUG = "1" }
[component.shop.variables]
endpoint = "https://{{ host }}/api"
"#;
