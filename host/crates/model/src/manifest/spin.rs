//! A Spin project's `spin.toml` (version 2), read as a manifest.
//!
//! What means the same is taken over. What Spin has and this server lacks is refused one by one, with what to do:
//! an app that runs without half of what its author wrote would mislead.

mod component;
mod reader;

use toml::de::{DeTable, DeValue};

use self::component::Taken;
use self::reader::{Reader, integer, list, string, table};
use super::parse::{self, MANIFEST_BYTES_MAX};
use super::{Access, AppSection, Grants, LimitRequests, MANIFEST_VERSION, Manifest, ManifestError};
use crate::AppName;

/// The name of the file in a Spin project's folder.
pub const SPIN_MANIFEST_FILE: &str = "spin.toml";

const TOP_LEVEL: [&str; 5] = ["spin_manifest_version", "application", "variables", "trigger", "component"];
/// The route of everything, the only one that means the same here.
const EVERYTHING: &str = "/...";

/// What a `[[trigger.http]]` says, as far as it could be read.
struct Trigger<'t> {
    component: &'t str,
    route: Option<&'t str>,
}

pub(super) fn parse(text: &str, file: &str) -> Result<Manifest, ManifestError> {
    let refuse = |problems| Err(ManifestError { file: file.to_owned(), problems });
    if text.len() > MANIFEST_BYTES_MAX {
        return refuse(vec![parse::too_long(text)]);
    }
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            return refuse(vec![parse::problem(
                text,
                error.span().unwrap_or(0..0),
                error.message().to_owned(),
            )]);
        }
    };
    let root = document.get_ref();
    let mut reader = Reader::new(text, root);
    if root.get("spin_manifest_version").and_then(integer) != Some("2") {
        // In an older manifest everything else has other places.
        reader.at(
            &["spin_manifest_version"],
            "expected `spin_manifest_version = 2`: `spin doctor` rewrites an older manifest",
        );
        return refuse(reader.into_problems());
    }
    for key in root.keys().filter(|key| !TOP_LEVEL.contains(&key.get_ref().as_ref())) {
        reader.key(
            &[key.get_ref()],
            format!("`{}` is not known here, so what it asks for cannot be judged: remove it", key.get_ref()),
        );
    }
    let manifest = read(&mut reader, root);
    match (reader.into_problems(), manifest) {
        (problems, Some(manifest)) if problems.is_empty() => Ok(manifest),
        (problems, _) => refuse(problems),
    }
}

/// The manifest, where enough of it could be read; the reader has the problems.
fn read(reader: &mut Reader<'_>, root: &DeTable<'_>) -> Option<Manifest> {
    let application = root.get("application").and_then(table);
    let name = name(reader, application);
    refuse_base(reader, application);
    let triggers = triggers(reader, root);
    let id = only_component(reader, root, &triggers)?;
    let routes: Vec<&str> = triggers.iter().filter_map(|trigger| trigger.route).collect();
    judge_routes(reader, &routes);

    let text = |key: &str| application.and_then(|table| table.get(key)).and_then(string).unwrap_or_default();
    let Taken { component, assets, fallback, build, config } = component::take(reader, root, id)?;
    let manifest = Manifest {
        manifest_version: MANIFEST_VERSION,
        app: AppSection {
            component,
            assets,
            fallback,
            version: text("version").to_owned(),
            description: text("description").to_owned(),
            ..AppSection::for_component(name?)
        },
        build,
        access: Access::default(),
        limits: LimitRequests::default(),
        grants: Grants::default(),
        config,
        schedule: Vec::new(),
    };
    for broken in super::rules::broken(&manifest) {
        let place = place_of(&broken.place.path, id);
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        reader.at(&place, broken.message);
    }
    Some(manifest)
}

/// `hello_world` is usual there, and no name here.
fn name(reader: &mut Reader<'_>, application: Option<&DeTable<'_>>) -> Option<AppName> {
    let Some(name) = application.and_then(|table| table.get("name")).and_then(string) else {
        reader.at(&["application"], "expected [application] with the app's `name`");
        return None;
    };
    match name.to_ascii_lowercase().replace('_', "-").parse() {
        Ok(name) => Some(name),
        Err(error) => {
            reader.at(&["application", "name"], error.to_string());
            None
        }
    }
}

fn refuse_base(reader: &mut Reader<'_>, application: Option<&DeTable<'_>>) {
    let triggers = application.and_then(|application| application.get("trigger")).and_then(table);
    let http = triggers.and_then(|triggers| triggers.get("http")).and_then(table);
    let base = http.and_then(|http| http.get("base"));
    if base.is_some_and(|base| string(base) != Some("/")) {
        reader.at(
            &["application", "trigger", "http", "base"],
            "the app is served below its own name, `/NAME/`, or under the hosts of a typecase.toml: remove `base`",
        );
    }
}

fn triggers<'t>(reader: &mut Reader<'_>, root: &'t DeTable<'_>) -> Vec<Trigger<'t>> {
    let mut found = Vec::new();
    let Some(kinds) = root.get("trigger").and_then(table) else {
        reader.at(&["trigger"], "expected a [[trigger.http]] with `route` and `component`");
        return found;
    };
    for (kind, entries) in kinds.iter() {
        let kind = kind.get_ref().as_ref();
        if kind != "http" {
            let place = ["trigger", kind];
            reader.key(&place, match kind {
                "cron" => "schedules are not run yet: remove the trigger".to_owned(),
                kind => format!("only HTTP is served here, not {kind}: remove the trigger, or publish an app without it"),
            });
            continue;
        }
        for (index, entry) in list(entries).iter().enumerate() {
            found.extend(table(entry).and_then(|entry| trigger(reader, entry, &index.to_string())));
        }
    }
    found
}

fn trigger<'t>(reader: &mut Reader<'_>, entry: &'t DeTable<'_>, index: &str) -> Option<Trigger<'t>> {
    let at = |key: &'static str| ["trigger", "http", index, key];
    for key in entry.keys() {
        match key.get_ref().as_ref() {
            "id" | "component" | "route" => {}
            "executor" => reader
                .at(&at("executor"), "components are called through `wasi:http` alone: remove `executor`"),
            other => reader
                .key(&["trigger", "http", index, other], format!("`{other}` is not known here: remove it")),
        }
    }
    let route = match entry.get("route").map(|route| (string(route), table(route))) {
        Some((Some(route), _)) => Some(route),
        Some((_, Some(_))) => {
            reader.at(&at("route"), "a private route answers other components of the app only, and an app has one here: remove the trigger");
            None
        }
        _ => {
            reader.at(&["trigger", "http", index], "expected a `route`");
            None
        }
    };
    match entry.get("component").map(|component| (string(component), component)) {
        Some((Some(component), _)) => Some(Trigger { component, route }),
        Some((None, _)) => {
            reader.at(
                &at("component"),
                "expected the name of a [component.NAME] section: move what stands here into one",
            );
            None
        }
        None => {
            reader.at(&["trigger", "http", index], "expected a `component`");
            None
        }
    }
}

/// An app here is one component. A file server beside it is what the host does itself.
fn only_component<'t>(
    reader: &mut Reader<'_>,
    root: &'t DeTable<'_>,
    triggers: &[Trigger<'t>],
) -> Option<&'t str> {
    let mut names: Vec<&str> = triggers.iter().map(|trigger| trigger.component).collect();
    names.sort_unstable();
    names.dedup();
    let (servers, others): (Vec<&str>, Vec<&str>) =
        names.iter().partition(|name| component::is_file_server(root, name));
    match (&servers[..], &others[..]) {
        ([server], [_]) => {
            reader.key(
                &["component", server],
                format!(
                    "`{server}` serves files, which the host does itself: write a typecase.toml with the other component and `assets = \"FOLDER/\"`, a folder with the files at the paths that they are requested by"
                ),
            );
        }
        _ if names.len() > 1 => {
            let list = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            reader.at(
                &["component"],
                format!(
                    "an app has one component, and this one has {list}: publish each as an app of its own"
                ),
            );
        }
        _ => {}
    }
    others.first().or(servers.first()).copied()
}

fn judge_routes(reader: &mut Reader<'_>, routes: &[&str]) {
    let place =
        |index: usize| ["trigger".to_owned(), "http".to_owned(), index.to_string(), "route".to_owned()];
    let takes_everything = routes.contains(&EVERYTHING);
    for (index, route) in routes.iter().enumerate() {
        let place = place(index);
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        if route.split('/').any(|segment| segment.starts_with(':')) {
            reader.at(&place, format!("the parts of `{route}` are not handed over in headers here: write `{EVERYTHING}`, and take the path apart in the component"));
        } else if !takes_everything {
            reader.at(&place, format!("the component would get every path, not only `{route}`: write `{EVERYTHING}`, and answer 404 for the others in the component"));
        }
    }
}

/// Where in `spin.toml` stands what a rule about our own manifest speaks of.
fn place_of(place: &[String], component: &str) -> Vec<String> {
    let steps: Vec<&str> = place.iter().map(String::as_str).collect();
    let found = match steps[..] {
        ["app", key @ ("name" | "version" | "description")] => vec!["application", key],
        ["app", "component"] => vec!["component", component, "source"],
        ["app", "assets"] => vec!["component", component, "files"],
        ["app", ..] => vec!["component", component],
        ["config", key, ..] => vec!["component", component, "variables", key],
        _ => vec![],
    };
    found.into_iter().map(str::to_owned).collect()
}

/// Spin lets most lists of one be written without the brackets.
fn strings<'t>(value: &'t toml::Spanned<DeValue<'t>>) -> Vec<&'t str> {
    match string(value) {
        Some(text) => vec![text],
        None => list(value).iter().filter_map(string).collect(),
    }
}

#[cfg(test)]
mod tests;
