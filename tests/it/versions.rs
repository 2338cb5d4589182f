//! Every version of `wasi:http` that there is: a component says which one it was built for, and each is served.

use typecase_harness::{TestNode, guests};

/// The component as a toolchain of another version of WASI would have made it.
fn built_for(component: &[u8], version: &str) -> Vec<u8> {
    let text = wasmprinter::print_bytes(component).unwrap();
    let (line, _) = version.rsplit_once('.').unwrap();
    let mark = format!("@{line}.");
    let mut parts = text.split(&mark);
    let mut changed = parts.next().unwrap().to_owned();
    for part in parts {
        changed.push_str(&format!("@{version}"));
        changed.push_str(part.trim_start_matches(|char: char| char.is_ascii_digit()));
    }
    assert!(changed.contains(&format!("wasi:http/types@{version}")), "it imports {version}");
    wat::parse_str(changed).unwrap()
}

#[tokio::test]
async fn components_of_each_version_are_served() {
    let node = TestNode::start().await;
    let (hello, hello_p3) = (guests::hello(), guests::component(&guests::example("hello-p3")));
    let versions = (0..=12).map(|patch| (&hello, format!("0.2.{patch}")));
    for (component, version) in versions.chain((0..=2).map(|patch| (&hello_p3, format!("0.3.{patch}")))) {
        let app = format!("v{}", version.replace('.', "-"));
        node.publish_wasm(&app, built_for(component, &version)).await;
        let answer = node.get(&format!("/{app}/")).await.expect(200);
        assert!(answer.text().starts_with("Hello"), "{version}: {answer:?}");
    }
}
