use super::*;

const FULL: &str = r#"
manifest_version = 1

[app]
name = "shop"
version = "1.2.0"
description = "Sells things"
component = "../target/wasm32-wasip2/release/shop.wasm"
assets = "static/"
health = "/health?deep=1"
hosts = ["shop.example.com"]
fallback = "index.html"

[build]
command = "cargo build --release"
workdir = ".."
watch = ["src/**"]

[access]
default = "signed-in"
paths = { "/admin/..." = ["admin", "owner"], "/about" = "public" }

[limits]
memory_mb = 64
reuse = 100

[grants]
outbound_hosts = ["https://api.example.com"]
sql = ["main"]

[config]
greeting = { default = "hi" }
api-key = { required = true, secret = true, description = "of the payment service" }

[[schedule]]
cron = "0 3 * * *"
path = "/nightly"
"#;

#[test]
fn a_full_manifest_survives_json() {
    let manifest = Manifest::parse(FULL, "typecase.toml").unwrap();
    assert_eq!(manifest.app.health, "/health?deep=1");
    assert_eq!(manifest.access.paths["/about"], AccessRule::Public);
    let json = serde_json::to_string(&manifest).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
    assert_eq!(manifest.unsupported().len(), 5, "{:?}", manifest.unsupported());
}

#[test]
fn the_smallest_manifest_has_defaults() {
    let text = "manifest_version = 1\napp = { name = \"hello\", component = \"component.wasm\" }";
    let manifest = Manifest::parse(text, "typecase.toml").unwrap();
    assert_eq!(manifest, Manifest::for_component("hello".parse().unwrap()));
    assert!(manifest.unsupported().is_empty());
    let policy = LimitPolicy::default();
    assert_eq!(manifest.resolve_limits(&policy), Ok(policy.default));
}

#[test]
fn limits_meet_the_policy() {
    let mut manifest = Manifest::for_component("hello".parse().unwrap());
    let mut policy = LimitPolicy::default();
    manifest.limits.memory_mb = Some(policy.max.memory_mb);
    assert_eq!(manifest.resolve_limits(&policy).unwrap().memory_mb, policy.max.memory_mb);

    policy.max.queue = 5;
    assert_eq!(manifest.resolve_limits(&policy).unwrap().queue, 5, "a default is lowered to the maximum");

    manifest.limits.memory_mb = Some(9_999);
    manifest.limits.reuse = Some(u32::MAX);
    let errors = manifest.resolve_limits(&policy).unwrap_err();
    let [error, LimitError { key: "reuse", .. }] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!((error.key, error.asked, error.max), ("memory_mb", 9_999, 1_024));
    assert!(error.to_string().contains("memory_mb = 9999"), "{error}");
}

/// Refuses `text` and returns `line:column` of the first problem with its message.
fn refusal(text: &str) -> (String, String) {
    let error = Manifest::parse(text, "typecase.toml").expect_err(text);
    let problem = &error.problems[0];
    (format!("{}:{}", problem.line, problem.column), error.to_string())
}

#[test]
fn wrong_manifests_are_refused_at_the_place() {
    let head = "manifest_version = 1\n[app]\nname = \"hello\"\n";
    let full = format!("{head}component = \"a.wasm\"\n");
    let cases: &[(String, &str, &str)] = &[
        ("manifest_version = 1\n[app\n".into(), "2:5", "]"),
        ("manifest_version = 2\nnew_section = 1\n".into(), "1:20", "manifest_version 2 is unknown"),
        (
            "[app]\nname = \"hello\"\ncomponent = \"a.wasm\"\n".into(),
            "1:1",
            "write `manifest_version = 1` as the first line",
        ),
        (format!("{full}helth = \"/\"\n"), "5:1", "did you mean `health`?"),
        (format!("{full}[limit]\nmemory_mb = 1\n"), "5:2", "did you mean `limits`?"),
        (
            format!("{full}[limits]\nbandwidth = 1\n"),
            "6:1",
            "unknown key `bandwidth`; known here: memory_mb,",
        ),
        (format!("{full}[limits]\nmemory_mb = \"big\"\n"), "6:13", "expected a whole number"),
        (format!("{full}[limits]\nmemory_mb = 0\n"), "6:13", "a limit cannot be 0"),
        (format!("{full}[limits]\nmemory_mb = -1\n"), "6:13", "-1"),
        (full.replace("hello", "Hello World"), "3:8", "not an app name"),
        (full.replace("hello", "console"), "3:8", "reserved"),
        (head.into(), "2:1", "an app needs `component"),
        (format!("{full}health = \"health\"\n"), "5:10", "starts with one `/`"),
        (format!("{full}health = \"//evil\"\n"), "5:10", "starts with one `/`"),
        (format!("{full}hosts = [\"a.example\", \"https://b.example\"]\n"), "5:23", "not a host name"),
        (format!("{full}hosts = [\"a.example\", \"a.example\"]\n"), "5:23", "listed twice"),
        (format!("{full}hosts = [\"10.0.0.1\"]\n"), "5:10", "not a host name"),
        (format!("{full}hosts = [\"localhost\"]\n"), "5:10", "a host name of the app's own"),
        (format!("{full}fallback = \"index.html\"\n"), "5:12", "add `assets`"),
        (full.replace("a.wasm", "/etc/passwd"), "4:13", "relative path"),
        (full.replace("a.wasm", "a\\\\b.wasm"), "4:13", "write the path with `/`"),
        (format!("{full}[access]\ndefault = \"everyone\"\n"), "6:11", "\"public\", \"signed-in\" or a list"),
        (format!("{full}[access]\npaths = {{ \"admin\" = [\"a\"] }}\n"), "6:11", "`/admin/...`"),
        (format!("{full}[access]\ndefault = []\n"), "6:11", "at least one role"),
        (format!("{full}[config]\n\"Bad Key\" = {{}}\n"), "6:1", "as a key"),
        (format!("{full}[config]\nk = {{ secret = true, default = \"x\" }}\n"), "6:32", "a secret must not"),
        (format!("{full}[[schedule]]\ncron = \"daily\"\npath = \"/\"\n"), "6:8", "five fields"),
        (format!("{full}name = \"again\"\n"), "5:1", "duplicate key"),
    ];
    for (text, place, message) in cases {
        let (found_place, found_message) = refusal(text);
        assert!(
            found_place == *place && found_message.contains(message),
            "{text}\n-- expected {place} {message}, found\n{found_message}"
        );
    }
}

#[test]
fn an_error_shows_line_and_caret_and_every_broken_rule() {
    let text = "manifest_version = 1\n[app]\nname = \"hello\"\ncomponent = \"é\"\nhealth = \"x\"\n[limits]\nqueue = 0\n";
    let error = Manifest::parse(text, "shop/typecase.toml").unwrap_err();
    assert_eq!(error.problems.len(), 2);
    let shown = error.to_string();
    assert!(shown.starts_with("shop/typecase.toml:5:10: expected a path"), "{shown}");
    assert!(
        shown.contains("\n  |\n5 | health = \"x\"\n  |          ^^^\n\nshop/typecase.toml:7:9: "),
        "{shown}"
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let text = "manifest_version = 1\nextra = 1\n[app]\nname = \"hello\"\ncomponent = 5\nhealth = \"x\"\n[limit]\na = 1\n[limits]\nqueue = \"a\"\nreuse = 0\n";
    let error = Manifest::parse(text, "typecase.toml").unwrap_err();
    let lines: Vec<usize> = error.problems.iter().map(|problem| problem.line).collect();
    // Not that [app] lacks a component: line 5 says why.
    assert_eq!(lines, [2, 5, 6, 7, 10, 11], "{error}");

    let required = "manifest_version = 1\n[app]\nname = 5\nhealth = 5\n";
    let error = Manifest::parse(required, "typecase.toml").unwrap_err();
    assert_eq!(error.problems.len(), 2, "{error}");
    let many: String = (0..100).map(|number| format!("k{number} = 1\n")).collect();
    let error = Manifest::parse(&format!("manifest_version = 1\n{many}"), "typecase.toml").unwrap_err();
    assert_eq!(error.problems.len(), 20);
}

#[test]
fn findings_are_shown_at_their_place() {
    let text = "manifest_version = 1\n[app]\nname = \"hello\"\nhosts = [\n  \"a.example\",\n]\n";
    let place = |steps: &[&str]| steps.iter().map(|&step| step.to_owned()).collect::<Vec<_>>();
    let findings = [
        (place(&["app", "hosts", "0"]), "taken".to_owned()),
        (place(&["limits", "queue"]), "high".to_owned()),
    ];
    let error = Manifest::refused(text, "typecase.toml", &findings);
    assert_eq!((error.problems[0].line, error.problems[0].column, error.problems[1].line), (5, 3, 1));
}

#[test]
fn hostile_texts_are_refused_quickly() {
    let (_, message) = refusal(&"#".repeat(MANIFEST_BYTES_MAX + 1));
    assert!(message.contains("more than the 65536"), "{message}");
    let deep = format!("manifest_version = {}", "[".repeat(60_000));
    assert!(Manifest::parse(&deep, "typecase.toml").is_err());
    let long = format!("manifest_version = 1\n[app]\nname = \"{}\"\n", "x".repeat(60_000));
    assert!(refusal(&long).1.len() < 1_000);
    let (_, tab) = refusal("\tbad\u{9}= = 1");
    assert!(!tab.contains('\t'));
}
