//! The first start and starts that must not succeed.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use typecase_harness::{TestNode, command, guests};

#[tokio::test]
async fn a_new_node_has_no_account_and_a_setup_link_that_works_once() {
    let mut node = TestNode::start().await;
    let mode = |name: &str| fs::metadata(node.data().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("cli-token"), mode("")), (0o600, 0o700));
    let nobody = node.api().with_token(None);
    for path in ["/api/v1/apps", "/api/v1/nodes", "/api/v1/tokens", "/api/v1/me"] {
        nobody.get(path).await.expect_problem(401, "token-invalid");
    }
    for password in ["admin", "password", "typecase", ""] {
        let sign_in = json!({ "user": "admin", "password": password });
        let answer = nobody.post("/api/v1/sign-in", &sign_in).await;
        answer.expect_problem(401, "password-wrong");
    }

    let first = setup_token(&node);
    node.restart().await;
    let second = setup_token(&node);
    let set_up = |token: &str| json!({ "token": token, "password": "correct horse" });
    let nobody = node.api().with_token(None);
    nobody.post("/api/v1/setup", &set_up(&first)).await.expect_problem(403, "setup-link-invalid");
    assert!(nobody.get(&format!("/setup?token={second}")).await.expect(200).text().contains("<form"));
    nobody.post("/api/v1/setup", &set_up(&second)).await.expect(201);
    nobody.post("/api/v1/setup", &set_up(&second)).await.expect_problem(403, "setup-link-invalid");
    sign_in(&node, "correct horse").await;

    node.restart().await;
    assert!(!node.log().contains("/setup?token="), "there is an account now");
    sign_in(&node, "correct horse").await;
}

#[tokio::test]
async fn a_password_file_makes_the_account_at_the_first_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "correct horse\n").unwrap();
    let mut node = TestNode::builder().env("TYPECASE_SETUP_ADMIN_PASSWORD_FILE", &file).start().await;
    assert!(!node.log().contains("/setup?token="));
    assert!(!node.log().contains("correct horse"));
    sign_in(&node, "correct horse").await;
    // Later starts leave the account alone.
    fs::write(&file, "another password\n").unwrap();
    node.restart().await;
    sign_in(&node, "correct horse").await;
}

#[tokio::test]
async fn each_start_makes_a_new_cli_token() {
    let mut node = TestNode::start().await;
    let old = node.api().token.unwrap();
    node.restart().await;
    let new = node.api();
    assert_ne!(new.token.as_ref(), Some(&old));
    new.get("/api/v1/apps").await.expect(200);
    new.with_token(Some(&old)).get("/api/v1/apps").await.expect_problem(401, "token-invalid");
}

#[tokio::test]
async fn a_second_node_in_one_folder_and_taken_ports_are_refused() {
    let mut node = TestNode::start().await;
    let token = fs::read_to_string(node.data().join("cli-token")).unwrap();
    let refused = TestNode::builder().data(&node.data()).start_to_fail().await.expect(1);
    assert!(refused.stderr.contains("another node runs in"), "{refused:?}");
    assert!(refused.stderr.contains("--data"), "it says what to change: {refused:?}");
    // The one that runs did not notice.
    assert_eq!(fs::read_to_string(node.data().join("cli-token")).unwrap(), token);
    assert!(node.is_running());
    node.api().get("/api/v1/apps").await.expect(200);

    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let shared = node.apps_address().to_string();
    let taken = other.local_addr().unwrap().to_string();
    for (key, address) in [("listen", &taken), ("admin", &taken), ("listen", &shared)] {
        let refused =
            TestNode::builder().config("node", key, address.as_str()).start_to_fail().await.expect(1);
        assert!(refused.stderr.contains(address.as_str()), "{refused:?}");
        assert!(refused.stderr.contains(&format!("node.{key}")), "it names the key: {refused:?}");
    }
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_with_all_its_problems_before_anything_happens() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let refused = TestNode::builder()
        .data(&data)
        .config("limits", "default_quue", 7)
        .config("log", "level", "loud,==")
        .config("cluster", "redis", "redis://127.0.0.1")
        .start_to_fail()
        .await
        .expect(2);
    for text in ["limits.default_quue", "log.level", "cluster.secret_file", "5 problems"] {
        assert!(refused.stderr.contains(text), "{text}: {refused:?}");
    }
    assert!(!data.exists());
    let missing = command::run(["node", "--config", "/nowhere/node.toml"]).await.expect(2);
    assert!(missing.stderr.contains("/nowhere/node.toml"), "{missing:?}");
}

/// `docs/config.md` is tested to have every key; here, that each key it has exists and takes the default it names.
#[tokio::test]
async fn every_documented_key_exists_and_takes_its_default() {
    let reference = fs::read_to_string(guests::root().join("docs/config.md")).unwrap();
    let (mut config, mut section, mut keys) = (String::new(), "", 0);
    for line in reference.lines() {
        if let Some(name) = line.strip_prefix("## `[").and_then(|rest| rest.strip_suffix("]`")) {
            // A cluster's addresses have no defaults, and one that is announced must be complete.
            section = name;
            if section != "cluster" {
                config.push_str(&format!("[{section}]\n"));
            }
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, key, default, _, _] = cells[..] else { continue };
        let Some(key) = key.strip_prefix('`').and_then(|key| key.strip_suffix('`')) else { continue };
        let value = match default {
            // What the machine decides has no value to write down.
            "none" | "see below" => continue,
            text if text.starts_with("the host's") || text.starts_with('`') => continue,
            number if number.parse::<u64>().is_ok() || number.starts_with('[') => number.to_owned(),
            text => format!("{text:?}"),
        };
        keys += 1;
        config.push_str(&format!("{key} = {value}\n"));
    }
    assert!(keys >= 30 && section == "ingress", "the tables are read: {config}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    fs::write(&file, &config).unwrap();
    let doctor = command::run(["doctor", "--json", "--config", &file.display().to_string()]).await.json();
    let checks = doctor["checks"].as_array().unwrap();
    let config_check = checks.iter().find(|check| check["check"] == "config").unwrap();
    assert_eq!(config_check["state"], "ok", "{config_check:#}\n{config}");
}

fn setup_token(node: &TestNode) -> String {
    let log = node.log();
    let (_, rest) = log.split_once("/setup?token=").unwrap_or_else(|| panic!("no setup link: {log}"));
    rest.split_whitespace().next().unwrap().to_owned()
}

async fn sign_in(node: &TestNode, password: &str) {
    let nobody = node.api().with_token(None);
    let signed_in = nobody.post("/api/v1/sign-in", &json!({ "user": "admin", "password": password })).await;
    let token = signed_in.expect(200).json()["token"].as_str().unwrap().to_owned();
    let me = nobody.with_token(Some(&token)).get("/api/v1/me").await.expect(200).json();
    assert_eq!(me, json!({ "name": "admin", "role": "admin" }));
}
