use crate::manifest::{AccessRule, Manifest};

const HELLO: &str = r#"#:schema https://schemas.spinframework.dev/spin/manifest-v2/latest.json

spin_manifest_version = 2

[application]
name = "hello_spin"
version = "0.1.0"
authors = ["A <a@example.com>"]
description = "Says hello"

[variables]
greeting = { default = "Hello" }
token = { required = true, secret = true, description = "of the API" }

[[trigger.http]]
route = "/..."
component = "hello-spin"

[component.hello-spin]
source = "target/wasm32-wasip1/release/hello_spin.wasm"
allowed_outbound_hosts = []
[component.hello-spin.variables]
text = "{{ greeting }}"
token = "{{token}}"
colour = "blue"
[component.hello-spin.build]
command = "cargo build --target wasm32-wasip1 --release"
watch = ["src/**/*.rs", "Cargo.toml"]
"#;

fn problems(text: &str) -> Vec<(usize, String)> {
    let error = Manifest::parse_spin(text, "spin.toml").expect_err(text);
    error.problems.iter().map(|problem| (problem.line, problem.message.clone())).collect()
}

#[test]
fn a_project_as_the_template_makes_it_is_a_manifest() {
    let manifest = Manifest::parse_spin(HELLO, "spin.toml").unwrap();
    let app = &manifest.app;
    assert_eq!((app.name.as_str(), app.version.as_str(), app.health.as_str()), ("hello-spin", "0.1.0", "/"));
    assert_eq!(app.component.as_deref(), Some("target/wasm32-wasip1/release/hello_spin.wasm"));
    assert_eq!(manifest.access.default, AccessRule::Public);
    let build = manifest.build.as_ref().unwrap();
    assert_eq!(build.command, "cargo build --target wasm32-wasip1 --release");
    assert_eq!(build.watch, ["src/**/*.rs", "Cargo.toml"]);
    let key = |name: &str| &manifest.config[name];
    assert_eq!(key("text").default.as_deref(), Some("Hello"));
    assert_eq!((key("token").required, key("token").secret), (true, true));
    assert_eq!(key("colour").default.as_deref(), Some("blue"));

    // What goes into the bundle says the same.
    let text = manifest.to_toml().unwrap();
    assert_eq!(Manifest::parse(&text, "typecase.toml").unwrap(), manifest, "{text}");
}

#[test]
fn the_file_server_becomes_assets() {
    let text = r#"
spin_manifest_version = 2
[application]
name = "site"
[[trigger.http]]
route = "/..."
component = "site"
[component.site]
source = { url = "https://example.com/v0.3.0/spin_static_fs.wasm", digest = "sha256:00" }
files = [{ source = "public", destination = "/" }]
environment = { FALLBACK_PATH = "/index.html" }
"#;
    let manifest = Manifest::parse_spin(text, "spin.toml").unwrap();
    assert_eq!(manifest.app.component, None);
    assert_eq!(manifest.app.assets.as_deref(), Some("public"));
    assert_eq!(manifest.app.fallback.as_deref(), Some("index.html"));
    let globs = text.replace("{ source = \"public\", destination = \"/\" }", "\"public/**\"");
    assert!(problems(&globs)[0].1.contains("one folder can be served"));
}

#[test]
fn what_is_lacking_is_named_one_by_one() {
    let more = r#"
[component.hello-spin.environment]
A = "b"
[[trigger.redis]]
address = "redis://localhost"
channel = "c"
component = "hello-spin"
[application.trigger.http]
base = "/api"
[surprise]
"#;
    let text = format!("{HELLO}{more}")
        .replace("allowed_outbound_hosts = []", "allowed_outbound_hosts = [\"https://a.example\"]\nkey_value_stores = [\"default\"]\nsqlite_databases = [\"default\"]\nai_models = [\"llama\"]\nfiles = [\"a/*\"]\nfuture_thing = true")
        .replace("colour = \"blue\"", "colour = \"very {{ greeting }}\"")
        .replace("route = \"/...\"", "route = \"/users/:id\"");
    let problems = problems(&text);
    for says in [
        "take the path apart",
        "outgoing requests are not offered yet",
        "key-value stores are not offered yet",
        "databases are not offered yet",
        "inference is not offered",
        "files that the component reads",
        "`future_thing` is not known here",
        "a text around a variable",
        "environment variables are not set here",
        "only HTTP is served here, not redis",
        "remove `base`",
        "`surprise` is not known",
    ] {
        let count = problems.iter().filter(|(line, message)| message.contains(says) && *line > 1).count();
        assert_eq!(count, 1, "{says}: {problems:#?}");
    }
    assert_eq!(problems.len(), 12, "{problems:#?}");
}

#[test]
fn one_component_and_every_path() {
    let second = "\n[[trigger.http]]\nroute = \"/static/...\"\ncomponent = \"files\"\n[component.files]\nsource = \"x.wasm\"\n";
    let several = problems(&format!("{HELLO}{second}"));
    assert!(several[0].1.contains("this one has `files`, `hello-spin`"), "{several:?}");
    let beside = format!("{HELLO}{second}").replace("\"x.wasm\"", "\"spin_static_fs.wasm\"");
    assert!(problems(&beside)[0].1.contains("serves files, which the host does itself"));
    // Narrower routes to the same component are in the one of everything.
    let same = "\n[[trigger.http]]\nroute = \"/hello\"\ncomponent = \"hello-spin\"\n";
    assert!(Manifest::parse_spin(&format!("{HELLO}{same}"), "spin.toml").is_ok());
    let narrow = HELLO.replace("route = \"/...\"", "route = \"/hello/...\"");
    assert!(problems(&narrow)[0].1.contains("not only `/hello/...`"));
    let private = HELLO.replace("route = \"/...\"", "route = { private = true }");
    assert!(problems(&private)[0].1.contains("private route"));
    let fetched = HELLO.replace(
        "source = \"target/wasm32-wasip1/release/hello_spin.wasm\"",
        "source = { registry = \"r.example\", package = \"a:b\", version = \"1.0.0\" }",
    );
    assert!(problems(&fetched)[0].1.contains("not fetched from elsewhere"));
}

#[test]
fn other_documents_are_refused_at_once() {
    for (text, says) in [
        ("spin_manifest_version = \"1\"\nname = \"x\"\n", "`spin doctor`"),
        ("[application]\nname = \"x\"\n", "expected `spin_manifest_version = 2`"),
        ("spin_manifest_version = 2\n", "[[trigger.http]]"),
        ("spin_manifest_version = \n", ""),
        (&HELLO.replace("hello_spin\"\nversion", "Grüße\"\nversion"), "not an app name"),
        (&HELLO.replace("source = \"target", "source = \"/target"), "expected a relative path"),
    ] {
        assert!(problems(text).iter().any(|(_, message)| message.contains(says)), "{text}");
    }
}
