//! Our own rules, read from the source tree: floors, who may name what, file sizes, and that examples, guests and
//! routes are not forgotten. A rule that nobody checks is a wish.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use typecase_harness::guests::root;

/// Nobody finds their way in a longer file.
const LINES_MAX: usize = 600;

/// Names that no file of ours has; what lies in them is not ours.
const FOREIGN_FOLDERS: [&str; 4] = ["target", "node_modules", ".git", "deps"];

/// One file of Rust.
struct Source {
    /// From the repository's root.
    path: String,
    text: String,
    /// Without comments and without the tests at its end.
    code: String,
}

impl Source {
    fn is_test(&self) -> bool {
        let path = &self.path;
        path.ends_with("/tests.rs")
            || path.contains("/tests/") && path.starts_with("host/")
            || path.ends_with("/testing.rs")
            || path.starts_with("tests/it/")
            || path.starts_with("tests/harness/")
    }
}

fn sources(below: &str) -> Vec<Source> {
    let sources: Vec<Source> = files(&root().join(below))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let product = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
            let code: Vec<&str> = product.lines().map(without_comment).collect();
            Source { path: shown(&path), code: code.join("\n"), text: text.clone() }
        })
        .collect();
    assert!(!sources.is_empty(), "there is no Rust in {below}");
    sources
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !FOREIGN_FOLDERS.contains(&name.as_str()) => {
                found.extend(files(&path))
            }
            Ok(kind) if kind.is_file() => found.push(path),
            _ => {}
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Good enough for our own style: no `//` stands within our strings but in addresses.
fn without_comment(line: &str) -> &str {
    match line.find("//") {
        Some(start) if !line[..start].ends_with(':') => &line[..start],
        _ => line,
    }
}

fn assert_none(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}\n  {}", offences.join("\n  "));
}

/// The names of a crate's dependencies, those for its tests left out.
fn dependencies(manifest: &Path) -> BTreeSet<String> {
    let table: toml::Table = fs::read_to_string(manifest).unwrap().parse().unwrap();
    let names = table.get("dependencies").and_then(|section| section.as_table());
    names.map(|names| names.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn crates_use_only_lower_floors() {
    let crates = root().join("host/crates");
    let mut offences = Vec::new();
    for entry in fs::read_dir(&crates).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let ours: Vec<String> = dependencies(&entry.path().join("Cargo.toml"))
            .into_iter()
            .filter(|dependency| dependency.starts_with("typecase"))
            .collect();
        let allowed: &[&str] = match name.as_str() {
            "model" => &[],
            // These never see each other.
            "bundle" | "store" | "cluster" | "runtime" => &["typecase-model"],
            other => panic!("host/crates/{other} has no floor yet: give it one here and in ARCHITECTURE.md"),
        };
        offences.extend(
            ours.iter()
                .filter(|ours| !allowed.contains(&ours.as_str()))
                .map(|ours| format!("host/crates/{name} uses {ours}")),
        );
    }
    assert_none("A crate uses only crates of lower floors.", &offences);
}

/// Which folders of the host name which others; `main` and `node` put everything together.
#[test]
fn folders_use_only_lower_floors() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("config", &[][..]),
        ("lifecycle", &[]),
        ("log_writer", &[]),
        ("logs", &["config"]),
        ("peers", &[]),
        ("settings", &["config"]),
        ("ingress", &["config", "lifecycle", "settings"]),
        ("judge", &[]),
        ("control", &["judge", "logs", "peers", "settings"]),
        ("reconcile", &["control", "ingress", "lifecycle", "settings"]),
        ("api", &["control", "judge", "logs", "peers", "settings"]),
        ("admin", &["ingress", "lifecycle"]),
        ("dev", &[]),
        ("cli", &["config", "dev", "judge", "log_writer", "node", "settings"]),
        (
            "node",
            &[
                "admin",
                "api",
                "config",
                "control",
                "ingress",
                "lifecycle",
                "logs",
                "peers",
                "reconcile",
                "settings",
            ],
        ),
        ("main", &["cli"]),
    ]);
    let mut offences = Vec::new();
    for source in sources("host/src") {
        let floor = floor_of(&source.path);
        let uses =
            allowed.get(floor).unwrap_or_else(|| panic!("host/src/{floor} has no floor yet: give it one"));
        let used: BTreeSet<String> = paths(&source.code)
            .iter()
            .filter_map(|path| path.strip_prefix("crate::")?.split("::").next().map(str::to_owned))
            .collect();
        for used in used {
            if used != floor && !uses.contains(&used.as_str()) && allowed.contains_key(used.as_str()) {
                offences.push(format!("{} uses crate::{used}", source.path));
            }
        }
    }
    assert_none("A folder uses only folders of lower floors.", &offences);
}

/// `host/src/ingress/routes.rs` and `host/src/ingress.rs` are of the floor `ingress`.
fn floor_of(path: &str) -> &str {
    let rest = path.strip_prefix("host/src/").unwrap_or(path);
    rest.split(['/', '.']).next().unwrap_or(rest)
}

/// All paths of two names and more that stand in the code, in full: `use a::{b, c::{d, e}}` gives `a::b`, `a::c::d` and
/// `a::c::e`.
fn paths(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = code;
    while let Some(start) = rest.find(is_of_a_name) {
        rest = read_path("", &rest[start..], &mut found);
    }
    found
}

fn is_of_a_name(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Reads one path, or a tree of them, and gives the code after it.
fn read_path<'a>(prefix: &str, code: &'a str, found: &mut BTreeSet<String>) -> &'a str {
    let end = code.find(|char| !is_of_a_name(char)).unwrap_or(code.len());
    let path = if prefix.is_empty() { code[..end].to_owned() } else { format!("{prefix}::{}", &code[..end]) };
    let after = &code[end..];
    if let Some(tree) = after.strip_prefix("::{") {
        let mut rest = tree;
        while let Some(start) = rest.find(|char| char == '}' || is_of_a_name(char)) {
            if let Some(after) = rest[start..].strip_prefix('}') {
                return after;
            }
            // Under another name it is the same thing.
            let name = rest[start..].trim_start_matches("as ");
            rest = read_path(&path, name, found);
        }
        return rest;
    }
    match after.strip_prefix("::") {
        Some(next) if next.starts_with(is_of_a_name) => read_path(&path, next, found),
        _ => {
            if path.contains("::") {
                found.insert(path);
            }
            after
        }
    }
}

/// Whether the code names this path, or something below it.
fn names(paths: &BTreeSet<String>, wanted: &str) -> bool {
    paths
        .iter()
        .any(|path| path.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
}

#[test]
fn paths_are_read_in_full() {
    let code = "use a::{b, c::{d, e as f, *}};\nuse std::fs;\nlet x = crate::g::h(y::<i::J>(), not_a_path);";
    let expected = ["a::b", "a::c::d", "a::c::e", "a::c::f", "crate::g::h", "i::J", "std::fs"];
    assert_eq!(Vec::from_iter(paths(code)), expected);
    assert!(names(&paths(code), "a::c") && names(&paths(code), "std::fs") && !names(&paths(code), "a::bc"));
}

#[test]
fn each_dependency_has_one_owner() {
    // A name in the code, and the only folder that may say it.
    let owners = [
        ("sqlx", "host/crates/store/"),
        ("object_store", "host/crates/store/"),
        ("wasmtime", "host/crates/runtime/"),
        ("wasmtime_wasi", "host/crates/runtime/"),
        ("wasmtime_wasi_config", "host/crates/runtime/"),
        ("wasmtime_wasi_http", "host/crates/runtime/"),
        ("wasmtime_wasi_io", "host/crates/runtime/"),
        ("wit_component", "host/crates/runtime/"),
        ("fred", "host/crates/cluster/"),
        ("argon2", "host/src/control/identity/"),
        ("axum", "host/src/a"),
        ("clap", "host/src/cli"),
    ];
    let mut offences = Vec::new();
    for source in sources("host") {
        let paths = paths(&source.code);
        for (name, owner) in owners {
            if !source.path.starts_with(owner) && names(&paths, name) {
                offences.push(format!("{} names {name}, which belongs to {owner}", source.path));
            }
        }
    }
    for entry in fs::read_dir(root().join("host/crates")).unwrap().flatten() {
        let folder = format!("host/crates/{}/", entry.file_name().to_string_lossy());
        for dependency in dependencies(&entry.path().join("Cargo.toml")) {
            let name = dependency.replace('-', "_");
            if owners.iter().any(|(owned, owner)| *owned == name && *owner != folder) {
                offences.push(format!("{folder}Cargo.toml lists {dependency}"));
            }
        }
    }
    assert_none("A dependency is named by its owner alone.", &offences);
}

#[test]
fn planes_do_not_know_what_they_must_not() {
    let planes = [
        // Published apps keep answering while the database is down.
        ("host/src/ingress", &["typecase_store", "typecase_cluster", "reqwest"][..]),
        // No HTTP in the use cases.
        // An app is loaded by reconcile alone, which is who has the runtime.
        ("host/src/control", &["http", "hyper", "hyper_util", "reqwest", "typecase_runtime::Runtime"]),
        ("host/src/reconcile", &["hyper", "reqwest"]),
        ("host/src/api", &["typecase_runtime", "typecase_cluster", "hyper"]),
        // Commands speak to a node; they never open its database. Only the doctor looks at the services themselves.
        ("host/src/cli", &["typecase_store", "typecase_cluster", "hyper"]),
        ("host/crates/model", &["std::fs", "std::net", "tokio"]),
    ];
    let mut offences = Vec::new();
    for (folder, forbidden) in planes {
        for source in sources("host").iter().filter(|source| is_within(&source.path, folder)) {
            if source.is_test() || source.path == "host/src/cli/doctor/cluster.rs" {
                continue;
            }
            let paths = paths(&source.code);
            for name in forbidden.iter().filter(|name| names(&paths, name)) {
                offences.push(format!("{} names {name}", source.path));
            }
        }
    }
    assert_none("A plane does not know what it must not.", &offences);
}

/// `host/src/api.rs` and all below `host/src/api/`.
fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

#[test]
fn sql_stands_in_the_store_alone() {
    let words = [
        "SELECT ",
        "INSERT INTO ",
        "REPLACE INTO ",
        "UPDATE ",
        "DELETE FROM ",
        "CREATE TABLE ",
        "ALTER TABLE ",
    ];
    let offences: Vec<String> = sources("host")
        .iter()
        .filter(|source| !source.path.starts_with("host/crates/store/"))
        .flat_map(|source| {
            let said = words.iter().filter(|word| source.code.contains(**word));
            said.map(|word| format!("{} says {word}", source.path)).collect::<Vec<_>>()
        })
        .collect();
    assert_none("Only the store contains SQL.", &offences);
}

#[test]
fn a_process_has_four_engines_and_three_unsafe_places() {
    let (mut engines, mut runtimes, mut unsafe_places) = (BTreeSet::new(), Vec::new(), BTreeSet::new());
    for source in sources("host").into_iter().filter(|source| !source.is_test()) {
        if paths(&source.code).iter().any(|path| format!("::{path}").ends_with("::Engine::new")) {
            engines.insert(source.path.clone());
        }
        // One call makes those that a runtime has, one for each kind; a node has one runtime.
        let made = |by: &str| source.code.matches(by).count();
        for call in ["engine::serving_engine(", "Serving::new(", "Runtime::new("] {
            runtimes.extend(vec![format!("{}: {call}", source.path); made(call)]);
        }
        // The lint denies it everywhere else.
        if source.code.contains("allow(unsafe_code)") {
            unsafe_places.insert(source.path);
        }
    }
    assert_eq!(Vec::from_iter(engines), ["host/crates/runtime/src/engine.rs"]);
    let runtime = |call: &str| format!("host/crates/runtime/src/runtime.rs: {call}");
    let calls = [
        runtime("engine::serving_engine("),
        runtime("Serving::new("),
        "host/src/node.rs: Runtime::new(".to_owned(),
    ];
    assert_eq!(runtimes, calls);
    // Native code of our own making, files of our own making, and a number for the allocator.
    assert_eq!(
        Vec::from_iter(unsafe_places),
        ["host/crates/bundle/src/assets.rs", "host/crates/runtime/src/runtime.rs", "host/src/main.rs"]
    );
}

/// Hostile code ends or stalls its reader.
#[test]
fn uploaded_code_is_read_by_child_processes_alone() {
    let readers = ["inspect(", "dwarf::symbols(", ".precompile_component("];
    let mut found = BTreeSet::new();
    for source in sources("host").into_iter().filter(|source| !source.is_test()) {
        let calls = |line: &str| {
            let is_asking =
                line.contains("compiler.inspect(") || line.contains(".inspect(move") || line.contains("fn ");
            !is_asking && readers.iter().any(|reader| line.contains(reader))
        };
        if source.code.lines().any(calls) {
            found.insert(source.path);
        }
    }
    // The second calls what it was given, the third is for the author's own machine.
    assert_eq!(
        Vec::from_iter(found),
        ["host/crates/runtime/src/compile/child.rs", "host/src/judge.rs", "host/src/judge/offline.rs"]
    );
}

#[test]
fn files_are_short_and_named_after_their_module() {
    let mut offences = Vec::new();
    for folder in ["host", "sdk", "tests", "examples"] {
        for source in sources(folder) {
            let lines = source.text.lines().count();
            if lines > LINES_MAX {
                offences.push(format!("{} has {lines} lines, more than {LINES_MAX}", source.path));
            }
            if source.path.ends_with("/mod.rs") {
                offences.push(format!("{}: name it after its folder, beside the folder", source.path));
            }
        }
    }
    assert_none("Files are short, and `foo.rs` stands beside `foo/`.", &offences);
}

#[test]
fn the_product_does_not_unwrap() {
    let mut offences = Vec::new();
    for folder in ["host", "tests/bench", "tests/xtask"] {
        for source in sources(folder).iter().filter(|source| !source.is_test()) {
            for (number, line) in source.code.lines().enumerate() {
                if line.contains(".unwrap()") || line.contains("todo!(") || line.contains("dbg!(") {
                    offences.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
                }
            }
        }
    }
    assert_none("No unwrap outside of tests: an error says what happened.", &offences);
}

#[test]
fn every_module_says_what_it_is() {
    let offences: Vec<String> = sources("host")
        .into_iter()
        .filter(|source| !source.is_test() && !source.text.starts_with("//!"))
        .map(|source| source.path)
        .collect();
    assert_none("Every file of the host starts with a sentence about itself.", &offences);
}

#[test]
fn every_example_and_guest_is_named_in_a_test() {
    let tests: String = sources("tests/it").iter().map(|source| source.text.clone()).collect();
    let mut offences = Vec::new();
    for folder in ["examples", "tests/guests"] {
        for entry in fs::read_dir(root().join(folder)).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            let is_project =
                ["typecase.toml", "spin.toml"].iter().any(|manifest| entry.path().join(manifest).is_file());
            if is_project && !tests.contains(&format!("\"{name}\"")) {
                offences.push(format!("{folder}/{name}"));
            }
        }
    }
    assert_none("Each example and each guest is published by a test.", &offences);
}

#[test]
fn every_route_is_described_and_in_the_matrix_of_roles() {
    let routes = fs::read_to_string(root().join("host/src/api.rs")).unwrap();
    let described = fs::read_to_string(root().join("host/src/api/openapi.rs")).unwrap();
    let paths: Vec<&str> =
        routes.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(paths.len() > 10, "the routes are read from host/src/api.rs");
    let offences: Vec<String> = paths
        .into_iter()
        .filter(|path| path.starts_with("/api/v1/") && !described.contains(&format!("\"{path}\"")))
        .map(str::to_owned)
        .collect();
    assert_none(
        "Each route of the API is in the table of operations, which the test of roles walks.",
        &offences,
    );
}

#[test]
fn documented_codes_and_metrics_are_those_of_the_code() {
    let code: String =
        sources("host").into_iter().filter(|source| !source.is_test()).map(|s| s.code).collect();
    let codes = fs::read_to_string(root().join("docs/limits-and-errors.md")).unwrap();
    let rows =
        codes.lines().filter(|line| line.starts_with('|')).flat_map(|row| row.split('|').skip(1).take(2));
    let named = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(|name| name.contains('-'));
    let mut offences: Vec<String> = named
        .filter(|name| !code.contains(&format!("\"{name}\"")))
        .map(|name| format!("docs/limits-and-errors.md names the code {name}, which nothing says"))
        .collect();

    let metrics = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let said = ["!(\"typecase_", "family(\"typecase_"].into_iter().flat_map(|call| code.split(call).skip(1));
    let said: BTreeSet<&str> = said.filter_map(|rest| rest.split('"').next()).collect();
    let told: BTreeSet<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("| `typecase_")?.split('`').next()).collect();
    offences.extend(said.symmetric_difference(&told).map(|name| format!("typecase_{name}: docs/metrics.md")));
    assert_none("docs name the codes and metrics that exist.", &offences);
}

#[test]
fn what_the_architecture_names_is_there() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let sources = sources("host");
    let exists = |name: &str| {
        let at_root = ["", "host/src/", "host/crates/"].iter().any(|folder| {
            let path = root().join(folder).join(name);
            path.exists() || path.with_extension("rs").exists()
        });
        at_root || sources.iter().any(|source| source.path.ends_with(&format!("/{name}")))
    };
    let named = text.split('`').skip(1).step_by(2);
    let offences: Vec<String> = named
        .filter(|name| name.ends_with(".rs") || name.contains('/') && !name.starts_with('/'))
        .filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c)))
        .filter(|name| !exists(name))
        .map(str::to_owned)
        .collect();
    assert_none("ARCHITECTURE.md names files and folders that exist.", &offences);
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    // In pieces, so that this file does not name them.
    let places: Vec<String> =
        ["ro", "ho", "wo"].into_iter().zip(["ot", "me", "rk"]).map(|(a, b)| format!("/{a}{b}/")).collect();
    let mut offences = Vec::new();
    for path in files(&root()) {
        let known =
            ["rs", "toml", "md", "mjs", "js", "json", "sql", "lua", "yml", "lock", "html", "sh", "run"];
        let is_text = path.extension().is_some_and(|extension| known.iter().any(|known| extension == *known))
            || path.extension().is_none();
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate().filter(|_| is_text) {
            let from_a_root = |(start, _): (usize, &str)| {
                !line[..start].ends_with(|c: char| c.is_alphanumeric() || "_-.:/}$".contains(c))
            };
            if places.iter().any(|place| line.match_indices(place.as_str()).any(from_a_root)) {
                offences.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    assert_none("No file names a path of somebody's machine.", &offences);
}
