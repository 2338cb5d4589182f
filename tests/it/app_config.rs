//! What an operator sets for an app: seen by its instances without a publish, by nobody else's, and secrets by
//! nobody at all.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use typecase_harness::bundles::Bundle;
use typecase_harness::client::{Connection, get, request};
use typecase_harness::{Answer, Cluster, Service, TestNode, command, eventually, guests};

const SECRET: &str = "correct-horse-battery-staple";

/// The manifest of the example, under another name.
const KEYS: &str = "[config]\ngreeting = { default = \"Hello\" }\npassword = { secret = true }";

fn bundle(app: &str, manifest: &str) -> Vec<u8> {
    let component = guests::component(&guests::example("config"));
    Bundle::of(app).component(component).manifest(manifest).zip()
}

async fn patch(node: &TestNode, app: &str, body: Value) -> Answer {
    let path = format!("/api/v1/apps/{app}/config");
    node.api().send(Method::PATCH, &path, Bytes::from(body.to_string())).await
}

/// A change that every node must see when it is answered.
async fn set(node: &TestNode, app: &str, values: Value) -> Value {
    let changed = patch(node, app, json!({ "set": values })).await.expect(200).json();
    assert_eq!(changed["converged"], true, "{changed}");
    changed
}

async fn shown(node: &TestNode, app: &str) -> Value {
    node.api().get(&format!("/api/v1/apps/{app}/config")).await.expect(200).json()
}

fn key<'a>(shown: &'a Value, name: &str) -> &'a Value {
    let keys = shown["config"].as_array().unwrap();
    keys.iter().find(|key| key["name"] == name).unwrap_or_else(|| panic!("{name}: {shown}"))
}

async fn says(node: &TestNode, path: &str) -> String {
    node.get(path).await.expect(200).text().trim_end().to_owned()
}

async fn private(node: &TestNode, app: &str, password: &str) -> u16 {
    let path = format!("/{app}/private");
    let request = request(node.apps_address(), Method::GET, &path, Some(password), Bytes::new());
    typecase_harness::client::send_once(node.apps_address(), request).await.unwrap().status
}

#[tokio::test]
async fn a_change_reaches_the_running_app_without_a_publish() {
    let node = TestNode::start().await;
    node.publish_dir(&guests::example("config")).await;
    let mut connection = Connection::open(node.apps_address()).await.unwrap();
    let mut greeting = async || {
        let answer = connection.send(get(node.apps_address(), "/config/")).await.unwrap();
        answer.expect(200).text().trim_end().to_owned()
    };
    assert_eq!(greeting().await, "Hello!");
    let changed = set(&node, "config", json!({ "greeting": "Bonjour" })).await;
    assert_eq!((&changed["generation"], &changed["receipts"][0]["state"]), (&json!(1), &json!("applied")));
    assert_eq!(greeting().await, "Bonjour!");
    let unset = node.cli(["config", "unset", "config", "greeting"]).await.expect(0).stdout;
    assert!(unset.contains("sees generation 2 on 1 node") && unset.contains("greeting: unset"), "{unset}");
    assert_eq!(greeting().await, "Hello!");

    // No release, no rollout, and the same instance of nothing: only values.
    let app = node.api().app("config").await;
    assert_eq!((&app["generation"], &app["config_generation"]), (&json!(2), &json!(2)));
    // The next publish has the values too.
    set(&node, "config", json!({ "greeting": "Salut" })).await;
    let salted = guests::salted(&guests::component(&guests::example("config")), 1);
    let manifest = format!("{KEYS}\n");
    let bundle = Bundle::of("config").component(salted).manifest(&manifest).zip();
    node.api().publish("config", bundle, "").await.expect(200);
    assert_eq!(greeting().await, "Salut!");
}

#[tokio::test]
async fn instances_that_are_reused_see_the_change_with_their_next_request() {
    let node = TestNode::start().await;
    let reuse = format!("[limits]\nreuse = 1000\n{KEYS}");
    node.api().publish("p2", bundle("p2", &reuse), "").await.expect(200);
    let component = guests::component(&guests::guest("config-p3"));
    let p3 = Bundle::of("p3").component(component).manifest(&reuse).zip();
    node.api().publish("p3", p3, "").await.expect(200);
    for round in 0..5 {
        let value = format!("round-{round}");
        for app in ["p2", "p3"] {
            set(&node, app, json!({ "greeting": value })).await;
        }
        for request in 1..4 {
            assert_eq!(says(&node, "/p2/").await, format!("{value}!"));
            let said = says(&node, "/p3/").await;
            let (count, values) = said.split_once(' ').unwrap();
            assert_eq!(values, format!("greeting={value}"));
            // Threads have instances of their own, so it may be fewer.
            assert!(count.parse::<u32>().unwrap() <= request, "an old instance was used again: {said}");
        }
    }
}

#[tokio::test]
async fn a_secret_is_seen_by_the_app_alone() {
    let mut node = TestNode::start().await;
    node.publish_dir(&guests::example("config")).await;
    assert_eq!(private(&node, "config", SECRET).await, 403);
    // From a file, so that it shows neither in `ps` nor in a shell's history.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{SECRET}\n")).unwrap();
    let assignment = format!("password={}", file.path().display());
    let set = node.cli(["config", "set", "config", "--from-file", &assignment]).await.expect(0).stdout;
    let mut from_stdin = command::typecase();
    from_stdin.args([
        "config",
        "set",
        "config",
        "--from-file",
        "password=-",
        "--token",
        &node.api().token.unwrap(),
    ]);
    from_stdin.arg("--server").arg(format!("http://{}", node.admin_address()));
    from_stdin.stdin(std::fs::File::open(file.path()).unwrap());
    let same = command::run_command(from_stdin).await.expect(0).stdout;
    assert!(same.starts_with("nothing changed: generation 1"), "{same}");
    assert!(set.contains("password: set (secret)") && !set.contains(SECRET), "{set}");
    assert_eq!(private(&node, "config", SECRET).await, 200);
    assert_eq!(private(&node, "config", "correct-horse-battery-stapl?").await, 403);
    assert_eq!(says(&node, "/config/keys").await, "greeting\npassword");

    let document = shown(&node, "config").await;
    let password = key(&document, "password");
    assert_eq!((&password["value"], &password["secret"]), (&Value::Null, &json!(true)), "{password}");
    assert_eq!((&password["origin"], &password["changed_by"]), (&json!("set"), &json!("cli")), "{password}");
    let mut told = document.to_string();
    told.push_str(&node.cli(["config", "config"]).await.expect(0).stdout);
    told.push_str(&node.api().app("config").await.to_string());
    // A change of it, and a refused one, tell nothing either.
    let longer = format!("{SECRET}-2");
    told.push_str(&patch(&node, "config", json!({ "set": { "password": longer } })).await.expect(200).text());
    let stale = json!({ "expected": 1, "set": { "password": SECRET } });
    told.push_str(
        &patch(&node, "config", stale).await.expect_problem(409, "generation-conflict").to_string(),
    );
    let wrong = json!({ "set": { "password": { "value": SECRET, "colour": 1 } } });
    told.push_str(&patch(&node, "config", wrong).await.expect_problem(400, "body-invalid").to_string());
    told.push_str(&node.log());
    assert!(!told.contains(SECRET), "{told}");

    node.terminate().await;
    let mut seen = 0;
    assert_nowhere(&node.data(), SECRET.as_bytes(), &mut seen);
    assert!(seen > 5, "the data folder was searched");
    let mode = std::os::unix::fs::PermissionsExt::mode;
    assert_eq!(mode(&node.data().join("secret").metadata().unwrap().permissions()) & 0o777, 0o600);
    node.restart().await;
    assert_eq!(private(&node, "config", &longer).await, 200);
}

fn assert_nowhere(folder: &Path, text: &[u8], seen: &mut usize) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            assert_nowhere(&entry.path(), text, seen);
            continue;
        }
        *seen += 1;
        let bytes = std::fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(text.len()).any(|window| window == text), "{}", entry.path().display());
    }
}

#[tokio::test]
async fn an_app_sees_its_own_declared_keys_and_nothing_else() {
    let node = TestNode::start().await;
    for app in ["mine", "theirs"] {
        node.api().publish(app, bundle(app, KEYS), "").await.expect(200);
    }
    let changed =
        set(&node, "theirs", json!({ "greeting": "theirs", "password": SECRET, "colour": "blue" })).await;
    let warning = changed["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("colour: release 1 of `theirs` does not declare it"), "{warning}");
    assert_eq!(
        (says(&node, "/theirs/").await, says(&node, "/mine/").await),
        ("theirs!".into(), "Hello!".into())
    );
    assert_eq!((private(&node, "theirs", SECRET).await, private(&node, "mine", SECRET).await), (200, 403));
    assert_eq!(says(&node, "/mine/keys").await, "greeting");
    // Set, but not declared: not there.
    assert_eq!(says(&node, "/theirs/keys").await, "greeting\npassword");
    assert_eq!(key(&shown(&node, "theirs").await, "colour")["declared"], false);
    // Declared by the next release: there.
    let manifest = format!("{KEYS}\ncolour = {{}}");
    node.api().publish("theirs", bundle("theirs", &manifest), "").await.expect(200);
    assert_eq!(says(&node, "/theirs/keys").await, "colour\ngreeting\npassword");
}

#[tokio::test]
async fn a_rollout_under_way_neither_holds_a_change_up_nor_is_disturbed() {
    let node = TestNode::start().await;
    node.publish_dir(&guests::example("config")).await;
    // Its health check computes until its time is up.
    let candidate = Bundle::of("config").component(guests::component(&guests::guest("spin"))).manifest(KEYS);
    node.api().publish("config", candidate.zip(), "?wait=0").await.expect(202);
    let before = node.api().app("config").await;
    assert_eq!(before["candidate"], 2);
    for greeting in ["one", "two"] {
        set(&node, "config", json!({ "greeting": greeting })).await;
        assert_eq!(says(&node, "/config/").await, format!("{greeting}!"));
    }
    let after = node.api().app("config").await;
    assert_eq!((&after["candidate"], &after["generation"]), (&before["candidate"], &before["generation"]));
    assert_eq!(after["config_generation"], 2);
}

#[tokio::test]
async fn what_is_required_is_set_before_the_first_publish_and_never_taken_away() {
    let node = TestNode::start().await;
    let manifest = "[config]\ngreeting = { required = true }\npassword = { required = true, secret = true }";
    let problem = node.api().publish("shop", bundle("shop", manifest), "").await;
    let problem = problem.expect_problem(409, "config-incomplete");
    let detail = problem["detail"].as_str().unwrap();
    for command in [
        "greeting is required: `typecase config set shop greeting=VALUE`",
        "password is required: `typecase config set shop --from-file password=PATH`",
    ] {
        assert!(detail.contains(command), "{detail}");
    }
    node.api().get("/api/v1/apps/shop").await.expect(404);

    let command = ["config", "set", "shop", "greeting=Welcome", &format!("password={SECRET}"), "--json"];
    let set = node.cli(command).await.expect(0).json();
    assert_eq!((&set["generation"], &set["converged"]), (&json!(1), &json!(true)), "{set}");
    // Nobody said yet that it is a secret.
    assert_eq!(key(&shown(&node, "shop").await, "password")["value"], SECRET);
    node.api().publish("shop", bundle("shop", manifest), "").await.expect(200);
    assert_eq!(says(&node, "/shop/").await, "Welcome!");
    assert_eq!(private(&node, "shop", SECRET).await, 200);
    // Now the manifest does.
    let password = shown(&node, "shop").await;
    let password = key(&password, "password");
    assert_eq!((&password["value"], &password["secret"]), (&Value::Null, &json!(true)));

    let refused = patch(&node, "shop", json!({ "unset": ["greeting"] })).await;
    refused.expect_problem(409, "config-required");
    assert_eq!(says(&node, "/shop/").await, "Welcome!");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_changes_nothing() {
    let node = TestNode::start().await;
    node.publish_dir(&guests::example("config")).await;
    for (body, status, code) in [
        (json!({ "set": { "Greeting": "x" } }), 400, "body-invalid"),
        (json!({ "set": { "a b": "x" } }), 400, "body-invalid"),
        (json!({ "set": { "greeting": 5 } }), 400, "body-invalid"),
        (json!({ "sets": {} }), 400, "body-invalid"),
        (json!({ "set": { "greeting": "x".repeat((64 << 10) + 1) } }), 400, "config-invalid"),
        (json!({ "set": { "greeting": "x" }, "unset": ["greeting"] }), 400, "config-invalid"),
        (json!({ "expected": 7, "set": { "greeting": "x" } }), 409, "generation-conflict"),
        (json!({ "set": { "greeting": "x".repeat(5 << 20) } }), 413, "body-too-large"),
    ] {
        patch(&node, "config", body).await.expect_problem(status, code);
    }
    patch(&node, "none", json!({ "unset": ["a"] })).await.expect_problem(404, "not-found");
    let large = json!({ "greeting": "x".repeat(64 << 10) });
    set(&node, "config", large).await;
    assert_eq!(says(&node, "/config/").await.len(), (64 << 10) + 1);
    assert_eq!(shown(&node, "config").await["generation"], 1);

    let token = node.cli(["token", "create", "v", "--role", "viewer"]).await.expect(0).stdout;
    let viewer = node.api().with_token(Some(token.trim()));
    viewer.get("/api/v1/apps/config/config").await.expect(200);
    let body = Bytes::from(json!({ "set": { "greeting": "x" } }).to_string());
    let refused = viewer.send(Method::PATCH, "/api/v1/apps/config/config", body).await;
    refused.expect_problem(403, "role-missing");
}

#[tokio::test]
async fn a_lost_secret_file_takes_away_the_secrets_alone() {
    let mut node = TestNode::start().await;
    for app in ["open", "sealed"] {
        node.api().publish(app, bundle(app, KEYS), "").await.expect(200);
        set(&node, app, json!({ "greeting": "Salut" })).await;
    }
    set(&node, "sealed", json!({ "password": SECRET })).await;
    node.terminate().await;
    std::fs::remove_file(node.data().join("secret")).unwrap();
    node.restart().await;
    assert_eq!(says(&node, "/open/").await, "Salut!");
    node.get("/sealed/").await.expect(503);
    node.log_line(&["password does not open with this node's secret", "sealed"]).await;
    let problem = key(&shown(&node, "sealed").await, "password")["problem"].clone();
    assert_eq!(problem, "does not open with this node's secret");
    // Set again, it serves again, without a publish.
    set(&node, "sealed", json!({ "password": SECRET })).await;
    assert_eq!(private(&node, "sealed", SECRET).await, 200);
}

#[tokio::test]
async fn in_a_cluster_every_node_sees_a_change_when_it_is_answered() {
    let mut cluster = Cluster::builder().wire(1, Service::Redis).start().await;
    cluster.nodes[0].publish_dir(&guests::example("config")).await;
    let changed = set(&cluster.nodes[1], "config", json!({ "greeting": "one", "password": SECRET })).await;
    assert_eq!(changed["receipts"].as_array().unwrap().len(), 3, "{changed}");
    for node in &cluster.nodes {
        assert_eq!(
            (says(node, "/config/").await, private(node, "config", SECRET).await),
            ("one!".into(), 200)
        );
    }
    // Without announcements it takes the timer's seconds.
    cluster.cut_off(1, Service::Redis).await;
    set(&cluster.nodes[1], "config", json!({ "greeting": "two" })).await;
    set(&cluster.nodes[2], "config", json!({ "greeting": "three" })).await;
    cluster.all_answer("/config/", "three!").await;
    cluster.reconnect(1, Service::Redis).await;

    // A node that was away catches up before it is ready.
    cluster.nodes[2].terminate().await;
    set(&cluster.nodes[0], "config", json!({ "greeting": "four" })).await;
    cluster.nodes[2].restart().await;
    assert_eq!(says(&cluster.nodes[2], "/config/").await, "four!");
    eventually("all receipts", async || {
        let shown = shown(&cluster.nodes[2], "config").await;
        let receipts = shown["receipts"].as_array().unwrap();
        (receipts.len() == 3 && shown["converged"] == true).then_some(())
    })
    .await;

    // Of changes at once on all nodes, each is made or refused.
    let found = shown(&cluster.nodes[0], "config").await["generation"].as_u64().unwrap();
    for expected in found..found + 10 {
        let race = |node: usize| {
            let body = json!({ "expected": expected, "set": { "greeting": format!("{expected}-{node}") } });
            let node = &cluster.nodes[node];
            async move { patch(node, "config", body).await.status }
        };
        let (a, b, c) = tokio::join!(race(0), race(1), race(2));
        let mut all = [a, b, c];
        all.sort_unstable();
        assert_eq!(all, [200, 409, 409]);
    }
}
