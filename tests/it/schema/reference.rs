//! `docs/manifest.md`, made of the schema: each key with what it takes, its default and its meaning, and an example of
//! each section.

use serde_json::{Map, Value};

const HEAD: &str = "\
# The manifest

`typecase.toml` says what an app is, what it needs and who may use it. It lies in the project's folder and goes into the bundle.
Unknown keys are errors. A server refuses what it cannot honour rather than ignore it; `typecase check` says what that would be
before anything is published.

Editors complete and check the file by its JSON Schema. `typecase new` puts that into the project; for another project,

    typecase schema --output .typecase/manifest.schema.json

and the first line of `typecase.toml` is then

    #:schema ./.typecase/manifest.schema.json

Paths in the manifest are relative to it, and are written with `/`. Units stand last in names: `_ms` milliseconds, `_mb` mebibytes.

<!-- Made of the types in host/crates/model/src/manifest by a test (tests/it/schema.rs): change their comments. -->
";

/// The sections, and the order of their keys; a key that is not named here would stand nowhere.
const SECTIONS: [(&str, &str, &[&str]); 7] = [
    (
        "app",
        "[app]",
        &["name", "version", "description", "component", "assets", "health", "hosts", "fallback"],
    ),
    ("build", "[build]", &["command", "workdir", "watch"]),
    ("access", "[access]", &["default", "paths"]),
    (
        "limits",
        "[limits]",
        &["memory_mb", "timeout_ms", "cpu_ms", "concurrency", "queue", "body_mb", "reuse"],
    ),
    ("grants", "[grants]", &["outbound_hosts", "keyvalue", "sql", "files"]),
    ("config", "[config]", &["default", "required", "secret", "description"]),
    ("schedule", "[[schedule]]", &["cron", "path"]),
];

pub fn page(schema: &Value) -> String {
    let top = &schema["properties"];
    let known = SECTIONS.iter().map(|(key, ..)| *key).chain(["manifest_version"]);
    assert_same_keys(top, &known.collect::<Vec<_>>(), "the manifest");
    let mut page = format!(
        "{HEAD}\n## `manifest_version`\n\n{} Always `{}`; required.\n",
        top["manifest_version"]["description"].as_str().unwrap(),
        top["manifest_version"]["const"]
    );
    for (section, title, keys) in SECTIONS {
        let described = &top[section];
        // A section of its own, a list of them, or one for each key that an author thinks of.
        let (fields, example) = match section {
            "schedule" => (&described["items"], format!("{title}\n")),
            "config" => (&described["additionalProperties"], String::new()),
            _ => (described, format!("{title}\n")),
        };
        page.push_str(&format!("\n## `{title}`\n\n"));
        let of_list = described["description"].as_str();
        let of_one = fields["description"].as_str().filter(|_| of_list.is_none());
        for text in [of_list, of_one].into_iter().flatten() {
            page.push_str(&format!("{text}\n\n"));
        }
        assert_same_keys(&fields["properties"], keys, section);
        page.push_str(&table(fields, keys));
        page.push_str(&format!("\n```toml\n{}```\n", example_of(section, fields, keys, example)));
    }
    page
}

#[track_caller]
fn assert_same_keys(properties: &Value, keys: &[&str], of: &str) {
    let mut found: Vec<&str> = properties.as_object().unwrap().keys().map(String::as_str).collect();
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, keys, "tests/it/schema/reference.rs names the keys of {of}");
}

fn table(fields: &Value, keys: &[&str]) -> String {
    let mut rows = String::from("| key | takes | default | meaning |\n| --- | --- | --- | --- |\n");
    let required = fields["required"].as_array().cloned().unwrap_or_default();
    for key in keys {
        let field = &fields["properties"][key];
        let default = match &field["default"] {
            _ if required.contains(&Value::from(*key)) => "required".to_owned(),
            Value::Null if field["type"] == "integer" => "the server's".to_owned(),
            Value::Null => "none".to_owned(),
            Value::String(text) if text.is_empty() => "none".to_owned(),
            Value::Array(list) if list.is_empty() => "none".to_owned(),
            value => format!("`{value}`"),
        };
        let meaning = field["description"].as_str().unwrap_or_else(|| panic!("{key} has no comment"));
        rows.push_str(&format!("| `{key}` | {} | {default} | {meaning} |\n", takes(field)));
    }
    rows
}

/// The values of a key, in words.
fn takes(field: &Value) -> String {
    let most = |key: &str| field[key].as_u64().map(|most| format!(", at most {most}")).unwrap_or_default();
    match field["type"].as_str() {
        Some("string") if field["maxLength"].is_u64() => format!("text{} characters", most("maxLength")),
        Some("string") => "text".to_owned(),
        Some("integer") => "whole number from 1".to_owned(),
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("array") => format!("list of texts{}", most("maxItems")),
        Some("object") => "table of rules by path".to_owned(),
        _ => "`\"public\"`, `\"signed-in\"` or a list of roles".to_owned(),
    }
}

fn example_of(section: &str, fields: &Value, keys: &[&str], mut example: String) -> String {
    if section == "config" {
        return "[config]\ngreeting = { default = \"Hello\", description = \"what the page says\" }\napi_token = { required = true, secret = true }\n".to_owned();
    }
    for key in keys {
        let Some(value) = fields["properties"][key]["examples"].get(0) else { continue };
        let table = toml::Table::try_from(Map::from_iter([((*key).to_owned(), value.clone())])).unwrap();
        example.push_str(&toml::to_string(&table).unwrap());
    }
    example
}
