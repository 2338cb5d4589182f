//! The command line as scripts see it: one JSON document on stdout, an exit code, everything else on stderr.

use serde_json::{Value, json};
use typecase_harness::{TestNode, command, guests};

/// Fails unless the document has exactly these keys: programs are written against them.
#[track_caller]
fn assert_keys(document: &Value, keys: &str) {
    let found: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(found.join(" "), keys, "{document}");
}

#[tokio::test]
async fn each_command_prints_one_document_and_a_table() {
    let node = TestNode::start().await;
    let empty = node.cli(["apps"]).await.expect(0);
    assert_eq!(empty.stdout, "no apps yet: publish one with `typecase publish PATH`\n");
    assert_eq!(node.cli(["apps", "--json"]).await.expect(0).json(), json!({ "apps": [] }));

    let published = node.publish_dir(&guests::example("hello")).await;
    assert_keys(&published, "app behind digest duration_ms generation receipts release state unchanged");
    assert_keys(&published["receipts"][0], "app at_unix_ms detail duration_ms name node release state");
    node.publish_wasm("hello", guests::hello_saying(2)).await;

    let apps = node.cli(["apps", "--json"]).await.expect(0).json();
    assert_keys(
        &apps["apps"][0],
        "active candidate config_generation created_unix_ms generation name updated_unix_ms",
    );
    assert_eq!((&apps["apps"][0]["name"], &apps["apps"][0]["active"]), (&json!("hello"), &json!(2)));
    let table = node.cli(["apps"]).await.expect(0).stdout;
    let first_lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(first_lines[0], ["APP", "ACTIVE", "CANDIDATE", "GENERATION", "CHANGED"]);
    assert_eq!(first_lines[1][..4], ["hello", "2", "-", "4"]);

    let releases = node.cli(["releases", "hello", "--json"]).await.expect(0).json();
    let releases = releases["releases"].as_array().unwrap();
    assert_eq!(releases.iter().map(|release| &release["number"]).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((&releases[0]["state"], &releases[1]["state"]), (&json!("active"), &json!("retired")));
    assert_eq!(releases[0]["publisher"], "cli");
    let table = node.cli(["releases", "hello"]).await.expect(0).stdout;
    assert!(table.starts_with("RELEASE") && table.contains("retired"), "{table}");

    let rolled_back = node.cli(["rollback", "hello", "--json"]).await.expect(0).json();
    assert_eq!((&rolled_back["release"], &rolled_back["state"]), (&json!(1), &json!("active")));
    assert_eq!(node.cli(["rollback", "hello", "1", "--json"]).await.expect(0).json()["unchanged"], true);
    let text = node.cli(["rollback", "hello", "--to", "2"]).await.expect(0).stdout;
    assert!(text.starts_with("hello release 2 is active on 1 node ("), "{text}");

    let nodes = node.cli(["nodes", "--json"]).await.expect(0).json();
    assert_eq!(nodes["nodes"][0]["health"], "live");
    assert!(node.cli(["nodes"]).await.expect(0).stdout.starts_with("NODE"));

    let withdrawn = node.cli(["withdraw", "hello", "--json"]).await.expect(0).json();
    assert_eq!((&withdrawn["name"], &withdrawn["active"]), (&json!("hello"), &json!(null)));
    typecase_harness::eventually("the app is gone", async || {
        (node.get("/hello/").await.status == 404).then_some(())
    })
    .await;
    node.cli(["rollback", "hello", "--to", "1", "--json"]).await.expect(0);
    assert_eq!(node.get("/hello/").await.expect(200).text(), "Hello, world!\n");

    let doctor = node.cli(["doctor", "--json"]).await.json();
    assert!(doctor["checks"].as_array().unwrap().iter().all(|check| check["check"].is_string()), "{doctor}");
}

/// Whatever happens, a program reads one document.
#[tokio::test]
async fn one_document_is_printed_by_every_command() {
    let node = TestNode::builder().config("node", "name", "here").start().await;
    node.publish_wasm("hello", guests::hello()).await;
    let folder = tempfile::tempdir().unwrap();
    for line in [
        "new static-site site",
        "new static-site site",
        "new nothing",
        "build site",
        "check site",
        "check site --offline",
        "schema",
        "publish site",
        "publish site --note again",
        "publish site --timeout 0",
        "releases site",
        "withdraw site",
        "rollback site 1",
        "rollback hello",
        "logs nothing",
        "logs hello --level loud",
        "config hello",
        "config set hello a=1",
        "config set hello A=1",
        "config unset hello a",
        "config",
        "nodes",
        "nodes drain here",
        "nodes resume here",
        "nodes drain nowhere",
        "settings",
        "settings set limits.bundle_mb=9",
        "settings set limits.bundle_mb=x",
        "settings unset limits.bundle_mb",
        "settings history",
        "settings diff",
        "settings rollback 1",
        "settings rollback 77",
        "settings receipts",
        "generate nginx",
        "generate haproxy",
        "token create ci",
        "token create ci",
        "token list",
        "token revoke ci",
        "token",
        "completion bash",
        "completion sh",
        "doctor",
        "node --listen 1",
        "node --config nowhere.toml",
        "apps --server http://127.0.0.1:1",
        "frobnicate",
    ] {
        let mut command = command::typecase();
        command.current_dir(folder.path()).args(line.split(' ')).arg("--json");
        command.arg("--data").arg(node.data());
        if !line.contains("--server") {
            command.args(["--server", &format!("http://{}", node.admin_address())]);
        }
        let output = command::run_command(command).await;
        let document = serde_json::from_str::<Value>(&output.stdout);
        assert!(document.is_ok_and(|document| document.is_object()), "{line}: {output:?}");
    }
}

#[tokio::test]
async fn a_note_that_is_not_kept_is_said_to_be_so() {
    let node = TestNode::start().await;
    let project = guests::example("hello").display().to_string();
    let first = node.cli(["publish", &project, "--note", "first", "--json"]).await.expect(0).json();
    assert!(first["warnings"].is_null(), "{first}");
    let again = node.cli(["publish", &project, "--note", "second"]).await.expect(0).stdout;
    assert!(again.contains("nothing changed\nwarning: the note is not kept: release 1"), "{again}");
    let again = node.cli(["publish", &project, "--note", "second", "--json"]).await.expect(0).json();
    assert_eq!(again["warnings"][0]["code"], "note-dropped");
    assert_eq!(node.api().releases("hello").await[0]["note"], "first");
}

#[tokio::test]
async fn errors_show_what_was_typed_and_no_more() {
    let mut command = command::typecase();
    command.arg("releases").env("TYPECASE_SERVER", "http://elsewhere").env("TYPECASE_TOKEN", "secret");
    let output = command::run_command(command).await.expect(2);
    assert!(output.stderr.contains("\nUsage: typecase releases <APP>\n"), "{output:?}");
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked() {
    let node = TestNode::start().await;
    let token = node.cli(["token", "create", "ci"]).await.expect(0).stdout.trim().to_owned();
    let server = format!("http://{}", node.admin_address());
    let project = guests::example("hello").display().to_string();
    let publish = ["publish", &project, "--server", &server, "--token", &token, "--json"];
    assert_eq!(command::run(publish).await.expect(0).json()["state"], "active");
    assert_eq!(node.api().releases("hello").await[0]["publisher"], "token:ci");
    // A publisher's token is not an administrator's.
    let more = ["token", "create", "more", "--server", &server, "--token", &token, "--json"];
    assert_eq!(command::run(more).await.expect(4).json()["code"], "role-missing");

    let listed = node.cli(["token", "list", "--json"]).await.expect(0);
    assert!(!listed.stdout.contains(&token), "a list shows no secrets");
    assert_eq!(listed.json()["tokens"][0]["name"], "ci");
    node.cli(["token", "revoke", "ci", "--json"]).await.expect(0).json();
    assert_eq!(command::run(publish).await.expect(4).json()["code"], "token-invalid");
}

#[tokio::test]
async fn failures_have_their_exit_codes() {
    let node = TestNode::start().await;
    let known = guests::example("hello").display().to_string();
    node.cli(["publish", &known]).await.expect(0);
    for (arguments, exit, code) in [
        (vec!["releases", "nothing"], 1, "not-found"),
        (vec!["rollback", "nothing"], 1, "not-found"),
        (vec!["rollback", "hello"], 1, "no-previous-release"),
        (vec!["rollback", "hello", "--to", "7"], 1, "not-found"),
        (vec!["withdraw", "nothing"], 1, "not-found"),
        (vec!["token", "revoke", "nothing"], 1, "not-found"),
        (vec!["publish", "/nowhere/at/all"], 2, "publish-path"),
        (vec!["publish", "/"], 1, "manifest-missing"),
    ] {
        let server = format!("http://{}", node.admin_address());
        let data = node.data().display().to_string();
        let place = ["--json", "--server", &server, "--data", &data];
        let output = command::run(arguments.iter().copied().chain(place)).await;
        assert_eq!(output.code, exit, "{arguments:?}: {output:?}");
        assert_eq!(output.json()["code"], code, "{arguments:?}: {output:?}");
        assert!(output.stderr.starts_with("error: "), "{arguments:?}: {output:?}");
    }
    for wrong in [
        &["publish"][..],
        &["releases", "Not A Name"],
        &["rollback", "hello", "--to", "zero"],
        &["token", "create", "a b"],
        &["node", "--listen", "8100"],
        &["frobnicate"],
    ] {
        let output = command::run(wrong).await.expect(2);
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{wrong:?}: {output:?}");
        let said = output.stderr;
        let output = command::run(wrong.iter().copied().chain(["--json"])).await.expect(2);
        assert_eq!(output.json()["code"], "usage", "{wrong:?}: {output:?}");
        let detail = output.json()["detail"].as_str().unwrap().to_owned();
        assert!(said.contains(&detail), "{wrong:?}: {said} {detail}");
    }
    let output = command::run(["apps", "--server", "ftp://x", "--json"]).await.expect(2);
    assert_eq!(output.json()["code"], "server-url");
    assert!(command::run(["--help"]).await.expect(0).stdout.contains("5 not converged"));
}

/// A mistyped name costs nobody a file, and what nobody can read is no success.
#[tokio::test]
async fn output_goes_where_it_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("README.md");
    std::fs::write(&text, "# Mine\n").unwrap();
    let (text, project) = (text.display().to_string(), guests::example("hello").display().to_string());
    for arguments in [&["build", &project, "-o", &text][..], &["schema", "-o", &text]] {
        let refused = command::run(arguments).await.expect(2);
        assert!(refused.stderr.contains("name another file"), "{refused:?}");
    }
    assert_eq!(std::fs::read_to_string(&text).unwrap(), "# Mine\n");
    command::run(["schema", "-o", "/dev/null"]).await.expect(1);

    let mut full = command::typecase();
    full.arg("schema").stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    full.stderr(std::process::Stdio::piped());
    let output = full.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("could not be written"), "{output:?}");
}
