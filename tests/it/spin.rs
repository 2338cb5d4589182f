//! A Spin project as its author has it: checked, built, published and called without a change.

use std::fs;

use serde_json::json;
use typecase_harness::{TestNode, command, guests};

/// Refuses a `spin.toml` that is like the guest's with this text put in; what the refusal says.
async fn refused(insert_after: &str, text: &str) -> String {
    let manifest = fs::read_to_string(guests::spin_project("spin-project").join("spin.toml")).unwrap();
    assert!(manifest.contains(insert_after), "{insert_after}");
    let folder = tempfile::tempdir().unwrap();
    let manifest = manifest.replace(insert_after, &format!("{insert_after}{text}"));
    fs::write(folder.path().join("spin.toml"), manifest).unwrap();
    let output = command::run(["build", folder.path().to_str().unwrap(), "--json"]).await.expect(1);
    assert_eq!(output.json()["code"], "manifest-unsupported");
    output.stderr
}

#[tokio::test]
async fn a_spin_project_publishes_and_answers() {
    let node = TestNode::start().await;
    let folder = guests::spin_project("spin-project").display().to_string();
    let checked = node.cli(["check", &folder, "--json"]).await.expect(0).json();
    assert_eq!((&checked["app"], &checked["component"]["wasi"]), (&json!("spin-project"), &json!("0.3")));
    let published = node.cli(["publish", &folder, "--json"]).await.expect(0).json();
    assert_eq!((&published["app"], &published["state"]), (&json!("spin-project"), &json!("active")));
    assert_eq!(published["digest"], checked["digest"]);
    assert_eq!(node.get("/spin-project/").await.expect(200).text(), "Hello, Spin!");
    assert_eq!(node.get("/spin-project/a/b").await.expect(404).text(), "there is no /a/b");

    let release = &node.api().releases("spin-project").await[0];
    assert_eq!(release["manifest"]["app"]["description"], "Greets whoever asks");
    assert_eq!(release["manifest"]["build"]["command"], "cargo build --target wasm32-wasip2 --release");
}

#[tokio::test]
async fn what_spin_has_and_is_lacking_here_is_named_with_its_line() {
    let said =
        refused("spin_project.wasm\"\n", "key_value_stores = [\"default\"]\nenvironment = { A = \"b\" }\n")
            .await;
    assert!(said.contains("spin.toml:17:20: key-value stores are not offered yet"), "{said}");
    assert!(said.contains("spin.toml:18:15: environment variables are not set here"), "{said}");
    assert!(said.contains("a typecase.toml beside its spin.toml"), "{said}");
    let said =
        refused("description = \"Greets whoever asks\"\n", "\n[[trigger.redis]]\nchannel = \"c\"\n").await;
    assert!(said.contains("only HTTP is served here, not redis"), "{said}");
}
