//! The documents that the API takes and gives, as JSON Schema.

use serde_json::{Map, Value, json};

/// Objects by name: each field with its type; a `?` says that it may be null or missing, `[]` a list, `any` anything.
const SCHEMAS: [(&str, &[(&str, &str)]); 40] = [
    ("Any", &[]),
    (
        "Problem",
        &[
            ("type", "string"),
            ("title", "string"),
            ("status", "integer"),
            ("detail", "string"),
            ("code", "string"),
            ("request_id", "string"),
            ("receipts", "Receipt[]?"),
            ("problems", "Finding[]?"),
            ("expected_generation", "integer?"),
            ("found_generation", "integer?"),
        ],
    ),
    ("SetUp", &[("token", "string"), ("password", "string")]),
    ("Account", &[("user", "string")]),
    ("SignIn", &[("user", "string"), ("password", "string")]),
    ("SignedIn", &[("token", "string"), ("expires_unix_ms", "integer")]),
    ("Principal", &[("name", "string"), ("role", "string")]),
    ("Apps", &[("apps", "App[]")]),
    (
        "App",
        &[
            ("name", "string"),
            ("generation", "integer"),
            ("active", "integer?"),
            ("candidate", "integer?"),
            ("config_generation", "integer"),
            ("created_unix_ms", "integer"),
            ("updated_unix_ms", "integer"),
            ("active_release", "Release?"),
            ("candidate_release", "Release?"),
        ],
    ),
    (
        "AppConfig",
        &[
            ("app", "string"),
            ("generation", "integer"),
            ("release", "integer?"),
            ("config", "AppConfigKey[]"),
            ("converged", "boolean"),
            ("receipts", "AppConfigReceipt[]"),
        ],
    ),
    (
        "AppConfigKey",
        &[
            ("name", "string"),
            ("value", "string?"),
            ("secret", "boolean"),
            ("origin", "string"),
            ("declared", "boolean"),
            ("required", "boolean"),
            ("description", "string"),
            ("changed_by", "string?"),
            ("updated_unix_ms", "integer?"),
            ("problem", "string?"),
        ],
    ),
    (
        "AppConfigReceipt",
        &[
            ("node", "string"),
            ("name", "string"),
            ("health", "string"),
            ("state", "string"),
            ("detail", "string?"),
            ("at_unix_ms", "integer?"),
        ],
    ),
    ("AppConfigChange", &[("expected", "integer?"), ("set", "Any?"), ("unset", "string[]?")]),
    (
        "AppConfigChanged",
        &[
            ("app", "string"),
            ("generation", "integer"),
            ("unchanged", "boolean"),
            ("changes", "Any[]"),
            ("warnings", "string[]"),
            ("converged", "boolean"),
            ("receipts", "AppConfigReceipt[]"),
            ("duration_ms", "integer"),
        ],
    ),
    (
        "LogEntry",
        &[
            ("time", "string?"),
            ("level", "string?"),
            ("app.name", "string?"),
            ("release.number", "integer?"),
            ("request.id", "string?"),
            ("node.name", "string?"),
            ("source", "string?"),
            ("error.code", "string?"),
            ("context", "string?"),
            ("message", "string?"),
            // Of lines that are no entries: what is missing, and with `live` where the past ends.
            ("notice", "string?"),
            ("count", "integer?"),
        ],
    ),
    ("Releases", &[("releases", "Release[]")]),
    (
        "Report",
        &[
            ("app", "string"),
            ("accepted", "boolean"),
            ("digest", "string"),
            ("size_bytes", "integer"),
            ("assets", "integer"),
            ("component", "ComponentReport?"),
            ("limits", "Limits?"),
            ("replaces", "Replaced?"),
            ("problems", "Finding[]"),
            ("warnings", "Finding[]"),
        ],
    ),
    (
        "ComponentReport",
        &[("size_bytes", "integer"), ("wasi", "string"), ("adapted", "boolean"), ("imports", "string[]")],
    ),
    (
        "Limits",
        &[
            ("memory_mb", "integer"),
            ("timeout_ms", "integer"),
            ("cpu_ms", "integer"),
            ("concurrency", "integer"),
            ("queue", "integer"),
            ("body_mb", "integer"),
            ("reuse", "integer"),
        ],
    ),
    ("Replaced", &[("release", "integer"), ("publisher", "string"), ("same", "boolean")]),
    (
        "Finding",
        &[
            ("code", "string"),
            ("message", "string"),
            ("place", "string[]?"),
            ("line", "integer?"),
            ("column", "integer?"),
        ],
    ),
    (
        "Release",
        &[
            ("app", "string"),
            ("number", "integer"),
            ("digest", "string"),
            ("manifest", "Any"),
            ("note", "string"),
            ("publisher", "string"),
            ("created_unix_ms", "integer"),
            ("state", "string"),
            ("failure", "string?"),
            ("activate", "boolean"),
            ("activated_unix_ms", "integer?"),
        ],
    ),
    ("Receipts", &[("receipts", "Receipt[]")]),
    (
        "Receipt",
        &[
            ("app", "string"),
            ("release", "integer"),
            ("node", "string"),
            ("name", "string"),
            ("state", "string"),
            ("detail", "string?"),
            ("duration_ms", "integer"),
            ("at_unix_ms", "integer"),
        ],
    ),
    (
        "Rollout",
        &[
            ("app", "string"),
            ("release", "integer"),
            ("state", "string"),
            ("digest", "string"),
            ("generation", "integer"),
            ("unchanged", "boolean"),
            ("behind", "string[]"),
            ("receipts", "Receipt[]"),
            ("duration_ms", "integer"),
        ],
    ),
    ("Activation", &[("release", "integer"), ("expected_generation", "integer?")]),
    ("RollBack", &[("to", "integer?")]),
    ("Nodes", &[("nodes", "Any[]")]),
    (
        "Settings",
        &[
            ("generation", "integer"),
            ("changed_by", "string"),
            ("note", "string"),
            ("created_unix_ms", "integer"),
            ("settings", "Any"),
            ("applied_generation", "integer?"),
            ("effective", "Any[]"),
        ],
    ),
    ("SettingsHistory", &[("history", "Any[]")]),
    ("SettingDifference", &[("key", "string"), ("from", "any"), ("to", "any")]),
    ("SettingsDiff", &[("from", "integer"), ("to", "integer"), ("changes", "SettingDifference[]")]),
    (
        "SettingsReceipt",
        &[
            ("node", "string"),
            ("name", "string"),
            ("health", "string"),
            ("state", "string"),
            ("detail", "string?"),
            ("ignored", "string[]"),
            ("at_unix_ms", "integer?"),
        ],
    ),
    (
        "SettingsReceipts",
        &[("generation", "integer"), ("converged", "boolean"), ("receipts", "SettingsReceipt[]")],
    ),
    ("SettingsChange", &[("expected", "integer?"), ("changes", "Any"), ("note", "string?")]),
    ("SettingsRollBack", &[("to", "integer"), ("expected", "integer?"), ("note", "string?")]),
    (
        "SettingsChanged",
        &[
            ("generation", "integer"),
            ("unchanged", "boolean"),
            ("changes", "SettingDifference[]"),
            ("converged", "boolean"),
            ("receipts", "SettingsReceipt[]"),
            ("duration_ms", "integer"),
        ],
    ),
    ("Tokens", &[("tokens", "Token[]")]),
    ("NewToken", &[("name", "string"), ("role", "string")]),
    (
        "Token",
        &[
            ("name", "string"),
            ("role", "string"),
            ("creator", "string"),
            ("created_unix_ms", "integer"),
            ("token", "string?"),
        ],
    ),
];

pub(super) fn schemas() -> Value {
    let mut schemas = Map::new();
    for (name, fields) in SCHEMAS {
        let required = fields.iter().filter(|(_, kind)| !kind.ends_with('?')).map(|(field, _)| *field);
        let required: Vec<&str> = required.collect();
        let properties: Map<String, Value> =
            fields.iter().map(|(field, kind)| ((*field).to_owned(), schema(kind))).collect();
        schemas.insert(
            name.to_owned(),
            json!({ "type": "object", "properties": properties, "required": required }),
        );
    }
    Value::Object(schemas)
}

fn schema(kind: &str) -> Value {
    if let Some(kind) = kind.strip_suffix('?') {
        return json!({ "anyOf": [schema(kind), { "type": "null" }] });
    }
    if let Some(kind) = kind.strip_suffix("[]") {
        return json!({ "type": "array", "items": schema(kind) });
    }
    if kind == "any" {
        return json!({});
    }
    match kind.starts_with(|first: char| first.is_ascii_uppercase()) {
        true => json!({ "$ref": format!("#/components/schemas/{kind}") }),
        false => json!({ "type": kind }),
    }
}
