//! The JSON Schema of the manifest, made from the types: editors complete and check `typecase.toml` with it.
//!
//! It accepts what [`Manifest::parse`] accepts. It refuses most, not all, of what that refuses: rules between sections
//! are beyond it.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::rules::{HOST_CHARS_MAX, HOSTS_MAX, PATH_CHARS_MAX};
use super::{AccessRule, ConfigKey, Manifest};
use crate::app_config::CONFIG_NAME_CHARS_MAX;
use crate::names::{APP_NAME_CHARS_MAX, APP_NAMES_RESERVED};
use crate::{LimitPolicy, Limits};

/// The schema, draft 2020-12.
pub fn schema() -> Value {
    // Without references: editors follow them badly, and nothing here is recursive.
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings
        .with_transform(RecursiveTransform(tidy as fn(&mut Schema)))
        .into_generator()
        .into_root_schema_for::<Manifest>();
    tell_limits(&mut schema);
    schema.insert("title".to_owned(), "typecase.toml".into());
    schema.to_value()
}

/// What the derive adds and nobody reads.
fn tidy(schema: &mut Schema) {
    // A format of Rust's number types, which says less than the bounds do.
    schema.remove("format");
    if let Some(Value::String(text)) = schema.get("description") {
        // The lines of a comment are one paragraph.
        let text = text.replace("\n\n", "\u{0}").replace('\n', " ").replace('\u{0}', "\n\n");
        schema.insert("description".to_owned(), text.into());
    }
    // A section that is not there is what its keys' defaults say.
    if schema.get("default").is_some_and(Value::is_object) {
        schema.remove("default");
    }
}

/// Says of each limit what holds when nothing is asked, and the most that may be asked, on a server as it comes.
fn tell_limits(schema: &mut Schema) {
    let LimitPolicy { default, max } = LimitPolicy::default();
    let Some(Value::Object(keys)) = schema.pointer_mut("/properties/limits/properties") else { return };
    for (key, schema) in keys {
        let (default, max) = (of_key(&default, key), of_key(&max, key));
        if let Some(Value::String(text)) = schema.get_mut("description") {
            text.push_str(&format!(
                " Unless its operator says otherwise, a server gives {default} and allows up to {max}."
            ));
        }
    }
}

fn of_key(limits: &Limits, key: &str) -> u32 {
    match key {
        "memory_mb" => limits.memory_mb,
        "timeout_ms" => limits.timeout_ms,
        "cpu_ms" => limits.cpu_ms,
        "concurrency" => limits.concurrency,
        "queue" => limits.queue,
        "body_mb" => limits.body_mb,
        _ => limits.reuse,
    }
}

pub(super) fn app_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "pattern": "^[a-z]([a-z0-9-]*[a-z0-9])?$",
        "maxLength": APP_NAME_CHARS_MAX,
        "not": { "enum": APP_NAMES_RESERVED },
    })
}

/// `/`, no drive letter and no backslash; it may lead out of its folder.
pub(super) fn relative_path(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": r"^[^/\\]([^:\\][^\\]*)?$", "maxLength": PATH_CHARS_MAX })
}

/// One `/` at the start, and visible ASCII but `#`.
pub(super) fn app_path(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^/([!\"$-.0-~][!\"$-~]*)?$", "maxLength": PATH_CHARS_MAX })
}

pub(super) fn hosts(_: &mut SchemaGenerator) -> Schema {
    let label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
    let last = "([a-z]|[a-z0-9-]*[a-z-][a-z0-9-]*[a-z0-9]|[a-z][a-z0-9-]*[a-z0-9]|[0-9][a-z0-9-]*[a-z])";
    json_schema!({
        "type": "array",
        "items": { "type": "string", "pattern": format!(r"^({label}\.)*{last}$"), "maxLength": HOST_CHARS_MAX },
        "uniqueItems": true,
        "maxItems": HOSTS_MAX,
    })
}

pub(super) fn limit(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "minimum": 1, "maximum": u32::MAX })
}

pub(super) fn names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "type": "string", "minLength": 1 } })
}

pub(super) fn cron(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": r"^\s*\S+(\s+\S+){4}\s*$" })
}

pub(super) fn access_rule() -> Schema {
    json_schema!({
        "anyOf": [
            { "type": "string", "enum": ["public", "signed-in"] },
            { "type": "array", "items": { "type": "string", "pattern": r"\S" }, "minItems": 1 },
        ],
    })
}

pub(super) fn access_paths(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "propertyNames": { "pattern": r"^/(?:(?!\.\.\.)[^*?#])*(?:\.\.\.)?$" },
        "additionalProperties": generator.subschema_for::<AccessRule>(),
    })
}

pub(super) fn config(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "propertyNames": { "pattern": format!("^[a-z0-9_.-]{{1,{CONFIG_NAME_CHARS_MAX}}}$") },
        "additionalProperties": generator.subschema_for::<ConfigKey>(),
    })
}
