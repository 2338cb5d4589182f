//! `sdk/wit`, the contract with authors in every language: it is read by their tools, and the server keeps it.

use std::collections::BTreeSet;

use typecase_harness::{TestNode, guests};
use wit_parser::{Resolve, WorldItem};

/// The names of what a world imports and exports.
fn world(name: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(guests::root().join("sdk/wit")).unwrap();
    assert_eq!(resolve.packages[package].name.to_string(), "typecase:platform@1.0.0");
    let world = &resolve.worlds[resolve.select_world(&[package], Some(name)).unwrap()];
    let names = |items: Vec<&WorldItem>| {
        let interface = |item: &&WorldItem| match item {
            WorldItem::Interface { id, .. } => resolve.id_of(*id).unwrap(),
            other => panic!("interfaces alone: {other:?}"),
        };
        items.iter().map(interface).collect()
    };
    (names(world.imports.values().collect()), names(world.exports.values().collect()))
}

#[test]
fn an_app_answers_http_and_imports_what_is_offered() {
    let (offered, nothing) = world("imports");
    let (imports, exports) = world("app");
    assert!(nothing.is_empty() && offered == imports, "{imports:#?}");
    assert_eq!(exports, BTreeSet::from(["wasi:http/incoming-handler@0.2.10".to_owned()]));
    for name in ["wasi:config/store@0.2.0-rc.1", "wasi:logging/logging@0.1.0-draft", "wasi:http/types@0.2.10"]
    {
        assert!(imports.contains(name), "{name}: {imports:#?}");
    }
}

/// A component that imports all of it, and does nothing.
#[tokio::test]
async fn the_server_offers_all_of_it() {
    let (imports, exports) = world("app");
    let import = |name: &String| format!("(import \"{name}\" (instance))");
    let export = |name: &String| format!("(export \"{name}\" (instance $nothing))");
    let text = format!(
        "(component {} (instance $nothing) {})",
        imports.iter().map(import).collect::<String>(),
        exports.iter().map(export).collect::<String>()
    );
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("app.wasm");
    std::fs::write(&component, wat::parse_str(text).unwrap()).unwrap();
    let node = TestNode::start().await;
    let path = component.display().to_string();
    let judged = node.cli(["check", &path, "--name", "app", "--json"]).await.expect(0).json();
    assert_eq!(judged["component"]["imports"].as_array().unwrap().len(), imports.len(), "{judged}");
}
