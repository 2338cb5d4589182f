//! What a shell is told at TAB: commands, options, templates, and names that only a server knows.

use typecase_harness::{TestNode, command, guests};

/// The words that the script of bash offers for the last one of a line.
async fn completed(line: &[&str]) -> Vec<String> {
    let script = command::run(["completion", "bash"]).await.expect(0).stdout;
    let words: Vec<String> = line.iter().map(|word| format!("'{word}'")).collect();
    let last = words.last().unwrap();
    let question = format!(
        "{script}\nCOMP_WORDS=({}) COMP_CWORD={} COMP_TYPE=9\n_clap_complete_typecase typecase {last} x\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words.len() - 1,
    );
    let mut bash = std::process::Command::new("bash");
    let path = std::env::var("PATH").unwrap();
    let folder = command::program().parent().unwrap().display().to_string();
    bash.args(["--norc", "-c", &question]).env("PATH", format!("{folder}:{path}"));
    bash.env_remove("TYPECASE_SERVER").env_remove("TYPECASE_TOKEN");
    let output = command::run_command(bash).await.expect(0);
    output
        .stdout
        .lines()
        .filter(|word| !word.is_empty() && !word.starts_with("--"))
        .map(|word| word.trim_end().to_owned())
        .collect()
}

#[tokio::test]
async fn every_shell_gets_a_script() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = command::run(["completion", shell]).await.expect(0).stdout;
        assert!(script.contains("TYPECASE_COMPLETE") && script.contains(shell), "{shell}: {script}");
    }
    command::run(["completion", "sh"]).await.expect(2);
}

#[tokio::test]
async fn a_shell_hears_what_can_follow() {
    assert_eq!(completed(&["typecase", "pub"]).await, ["publish"]);
    let templates = completed(&["typecase", "new", ""]).await;
    assert!(templates.iter().any(|name| name == "rust-http") && templates.len() >= 6, "{templates:?}");
    assert_eq!(completed(&["typecase", "new", "sta"]).await, ["static-site"]);
    assert_eq!(completed(&["typecase", "settings", "set", "limits.b"]).await, ["limits.bundle_mb="]);

    let node = TestNode::builder().config("node", "name", "here").start().await;
    node.publish_wasm("hello", guests::hello()).await;
    node.publish_wasm("help-desk", guests::hello()).await;
    let (server, data) = (format!("http://{}", node.admin_address()), node.data());
    let data = data.display().to_string();
    let at_node = ["typecase", "--server", &server, "--data", &data];
    let asked = async |words: &[&str]| completed(&[&at_node[..], words].concat()).await;
    for command in ["logs", "releases", "rollback", "withdraw"] {
        assert_eq!(asked(&[command, "hel"]).await, ["hello", "help-desk"], "{command}");
    }
    assert_eq!(asked(&["config", "set", "hello"]).await, ["hello"]);
    assert_eq!(asked(&["nodes", "drain", ""]).await, ["here"]);
    // Nobody is there: no names, and no error in the middle of a prompt.
    let nowhere = ["typecase", "--server", "http://127.0.0.1:1", "logs", "x"];
    assert_eq!(completed(&nowhere).await, [""; 0]);
}
