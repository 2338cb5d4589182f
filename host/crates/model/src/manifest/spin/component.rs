//! `[component.NAME]`: what it is made of, what it asks for, and its variables.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::reader::{Reader, asks, is_true, list, string, table};
use super::strings;
use crate::manifest::{Build, ConfigKey};

/// Spin's file server has had this name in all of its releases.
const FILE_SERVER: &str = "spin_static_fs";

/// What a component may ask for and does not get here, with what to do instead.
const LACKING: [(&str, &str); 9] = [
    (
        "allowed_outbound_hosts",
        "outgoing requests are not offered yet: remove the hosts, and do without them",
    ),
    ("allowed_http_hosts", "outgoing requests are not offered yet: remove the hosts, and do without them"),
    ("key_value_stores", "key-value stores are not offered yet: remove them, and do without"),
    ("sqlite_databases", "databases are not offered yet: remove them, and do without"),
    ("ai_models", "inference is not offered: remove the models, and do without"),
    (
        "environment",
        "environment variables are not set here: declare `variables`, and read them through wasi:config",
    ),
    (
        "files",
        "files that the component reads are not offered: embed them when it is built, or have the host serve them as `assets` of a typecase.toml",
    ),
    (
        "dependencies",
        "dependencies are not composed here: compose them into the component when it is built, with `wac plug`",
    ),
    ("dependencies_inherit_configuration", "dependencies are not composed here: remove the key"),
];

/// Read elsewhere, or of no meaning when an app runs.
const KNOWN: [&str; 7] = ["source", "description", "variables", "exclude_files", "build", "tool", "profile"];

/// What was taken over of a component.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) component: Option<String>,
    pub(super) assets: Option<String>,
    pub(super) fallback: Option<String>,
    pub(super) build: Option<Build>,
    pub(super) config: BTreeMap<String, ConfigKey>,
}

pub(super) fn take(reader: &mut Reader<'_>, root: &DeTable<'_>, id: &str) -> Option<Taken> {
    let Some(section) = section(root, id) else {
        reader.at(&["component"], format!("expected a section [component.{id}], which a trigger names"));
        return None;
    };
    if is_file_server(root, id) {
        return file_server(reader, section, id);
    }
    for (key, value) in section.iter() {
        let key = key.get_ref().as_ref();
        if let Some((_, instead)) = LACKING.iter().find(|(lacking, _)| *lacking == key) {
            if asks(value) {
                reader.at(&["component", id, key], *instead);
            }
        } else if !KNOWN.contains(&key) {
            reader.key(
                &["component", id, key],
                format!("`{key}` is not known here, so what it asks for cannot be judged: remove it"),
            );
        }
    }
    let (build, config) = (build(section), config(reader, root, section, id));
    let component = match section.get("source").map(|source| (string(source), source)) {
        Some((Some(path), _)) => Some(path.to_owned()),
        Some((None, _)) => {
            reader.at(
                &["component", id, "source"],
                "a component is not fetched from elsewhere here: put the file into the project, and write its path",
            );
            None
        }
        None => {
            reader.at(&["component", id], "expected `source`, the component's path");
            None
        }
    };
    Some(Taken { component: Some(component?), build, config, ..Taken::default() })
}

/// A component that serves files and nothing else: the host does that.
pub(super) fn is_file_server(root: &DeTable<'_>, id: &str) -> bool {
    let source = section(root, id).and_then(|section| section.get("source"));
    let path = source.and_then(|source| string(source).or_else(|| string(table(source)?.get("url")?)));
    path.is_some_and(|path| path.contains(FILE_SERVER))
}

fn section<'v, 't>(root: &'v DeTable<'t>, id: &str) -> Option<&'v DeTable<'t>> {
    table(root.get("component").and_then(table)?.get(id)?)
}

/// `files = [{ source = "assets", destination = "/" }]` is what `assets` means.
fn file_server(reader: &mut Reader<'_>, section: &DeTable<'_>, id: &str) -> Option<Taken> {
    let environment = section.get("environment").and_then(table);
    for key in environment.into_iter().flat_map(|environment| environment.keys()) {
        let key = key.get_ref().as_ref();
        if key != "FALLBACK_PATH" {
            reader.key(
                &["component", id, "environment", key],
                format!("`{key}` of Spin's file server means nothing here: remove it"),
            );
        }
    }
    let fallback = environment.and_then(|environment| environment.get("FALLBACK_PATH")).and_then(string);
    let mounts = section.get("files").map(list).unwrap_or_default();
    let folder = match mounts {
        [mount] => table(mount).and_then(|mount| {
            let of = |key: &str| mount.get(key).and_then(string);
            (of("destination") == Some("/")).then(|| of("source")).flatten()
        }),
        _ => None,
    };
    let Some(folder) = folder else {
        reader.at(
            &["component", id, "files"],
            "one folder can be served as it is: write `files = [{ source = \"FOLDER\", destination = \"/\" }]`",
        );
        return None;
    };
    Some(Taken {
        assets: Some(folder.to_owned()),
        fallback: fallback.map(|path| path.trim_start_matches('/').to_owned()),
        build: build(section),
        ..Taken::default()
    })
}

fn build(section: &DeTable<'_>) -> Option<Build> {
    let build = table(section.get("build")?)?;
    let commands = strings(build.get("command")?);
    Some(Build {
        // One after the other, until one fails.
        command: commands.join(" && "),
        workdir: build.get("workdir").and_then(string).map(str::to_owned),
        watch: build.get("watch").map(strings).unwrap_or_default().into_iter().map(str::to_owned).collect(),
    })
}

/// A component's variable is a text, or `{{ name }}` of one of the application's, whose value an operator sets.
fn config(
    reader: &mut Reader<'_>,
    root: &DeTable<'_>,
    section: &DeTable<'_>,
    id: &str,
) -> BTreeMap<String, ConfigKey> {
    let mut config = BTreeMap::new();
    let application = root.get("variables").and_then(table);
    for (name, value) in section.get("variables").and_then(table).into_iter().flat_map(DeTable::iter) {
        let name = name.get_ref().as_ref();
        let place = ["component", id, "variables", name];
        let Some(value) = string(value) else {
            reader.at(&place, "expected a text");
            continue;
        };
        let key = if !value.contains("{{") {
            ConfigKey { default: Some(value.to_owned()), ..ConfigKey::default() }
        } else if let Some(variable) = reference(value) {
            match application.and_then(|variables| variables.get(variable)).and_then(table) {
                Some(declared) => variable_of(declared),
                None => {
                    reader.at(&place, format!("expected `{variable}` among [variables]"));
                    continue;
                }
            }
        } else {
            reader.at(
                &place,
                "a text around a variable is not put together here: write `{{ name }}` alone, and set the whole text as its value",
            );
            continue;
        };
        config.insert(name.to_owned(), key);
    }
    config
}

/// The name in `{{ name }}`, if there is nothing else.
fn reference(value: &str) -> Option<&str> {
    let name = value.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    (!name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')).then_some(name)
}

fn variable_of(declared: &DeTable<'_>) -> ConfigKey {
    let text = |key: &str| declared.get(key).and_then(string).map(str::to_owned);
    let default = text("default");
    ConfigKey {
        // Spin does not start without a value.
        required: default.is_none(),
        secret: declared.get("secret").is_some_and(is_true),
        description: text("description").unwrap_or_default(),
        default,
    }
}
