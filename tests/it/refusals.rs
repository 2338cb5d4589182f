//! What a publish refuses, and that nothing of it is kept: hostile archives, broken uploads, components that
//! cannot be served, and people who may not.

use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use typecase_harness::bundles::Bundle;
use typecase_harness::debug_info::leb128;
use typecase_harness::{TestNode, command, eventually, files, guests};

use crate::bystander::Bystander;

/// The smallest component; it exports nothing.
const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A core module that imports the function `f` of `env`, which no adapter knows.
const MODULE_WITH_AN_IMPORT: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x09\x01\x03env\x01f\0\0";

/// One upload that must be refused.
struct Refusal {
    what: &'static str,
    upload: Vec<u8>,
    status: u16,
    code: &'static str,
    /// Texts that the explanation must contain: the entry, the limit, the import.
    says: &'static [&'static str],
}

fn refusal(
    what: &'static str,
    upload: Vec<u8>,
    status: u16,
    code: &'static str,
    says: &'static [&'static str],
) -> Refusal {
    Refusal { what, upload, status, code, says }
}

/// Publishes each as the app `bad`; nothing may be kept of it, and a bystander must not notice.
async fn refuse_all(node: &TestNode, refusals: Vec<Refusal>) {
    let bystander = Bystander::on(node).await;
    let (storage, cache) = (node.data().join("storage"), node.data().join("cache"));
    let before = (files::listing(&storage), files::listing(&cache));
    for Refusal { what, upload, status, code, says } in refusals {
        let answer = node.api().publish("bad", upload, "").await;
        assert!(answer.status == status, "{what}: {answer:?}");
        let problem = answer.expect_problem(status, code);
        let detail = problem["detail"].as_str().unwrap();
        for text in says {
            assert!(detail.contains(text), "{what} should be explained with `{text}`: {detail}");
        }
        assert_eq!(files::below(&node.data().join("uploads")), Vec::<std::path::PathBuf>::new(), "{what}");
    }
    node.api().get("/api/v1/apps/bad").await.expect_problem(404, "not-found");
    assert_eq!((files::listing(&storage), files::listing(&cache)), before);
    bystander.went_on().await;
}

#[tokio::test]
async fn hostile_archives() {
    let node = TestNode::start().await;
    let good = || Bundle::of("bad").asset("index.html", "<p>fine");
    let text = |bytes: usize| vec![b'a'; bytes];
    let truncated = good().zip();
    let mut damaged =
        Bundle::of("bad").asset("a.bin", (0..4_000).map(|n| (n % 251) as u8).collect::<Vec<u8>>()).zip();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8].fill(0xff);
    let mut many = good();
    for number in 0..10_001 {
        many = many.asset(&format!("{number}"), "");
    }
    let refusals = vec![
        refusal(
            "traversal",
            good().entry("assets/../../evil", "x").zip(),
            400,
            "bundle-path-unsafe",
            &["assets/../../evil"],
        ),
        refusal(
            "leading traversal",
            good().entry("../evil", "x").zip(),
            400,
            "bundle-path-unsafe",
            &["../evil"],
        ),
        refusal(
            "absolute path",
            good().zip_renaming("assets/index.html", "/tmp/evil/abc.txt"),
            400,
            "bundle-path-unsafe",
            &["/tmp/evil/abc.txt"],
        ),
        refusal(
            "backslashes",
            good().zip_renaming("assets/index.html", "assets\\..\\..\\evil"),
            400,
            "bundle-path-unsafe",
            &["evil"],
        ),
        refusal(
            "drive letter",
            good().zip_renaming("assets/index.html", "C:/windows/a.html"),
            400,
            "bundle-path-unsafe",
            &["C:/windows"],
        ),
        refusal(
            "symlink",
            good().zip_with_symlink("assets/link", "/etc/passwd"),
            400,
            "bundle-symlink",
            &["assets/link"],
        ),
        refusal(
            "the same name twice",
            good().asset("other.html", "x").zip_renaming("assets/other.html", "assets/index.html"),
            400,
            "bundle-duplicate-path",
            &["assets/index.html"],
        ),
        refusal(
            "a file where others have a folder",
            good().entry("assets/a/b", "x").entry("assets/a", "x").zip(),
            400,
            "bundle-path-conflict",
            &["assets/a"],
        ),
        refusal(
            "bomb",
            good().asset("zeros", text(30 << 20)).zip(),
            400,
            "bundle-expansion",
            &["assets/zeros", "200"],
        ),
        refusal("too many files", many.zip(), 400, "bundle-too-many-entries", &["10000"]),
        refusal(
            "a file outside of the layout",
            good().entry("notes.txt", "x").zip(),
            400,
            "bundle-entry-unexpected",
            &["notes.txt"],
        ),
        refusal("a damaged entry", damaged, 400, "bundle-corrupt", &[]),
        refusal("a cut archive", truncated[..truncated.len() / 2].to_vec(), 400, "bundle-truncated", &[]),
        refusal("no archive", b"<!doctype html>".to_vec(), 400, "not-a-bundle", &[]),
        refusal("nothing", Vec::new(), 400, "not-a-bundle", &[]),
        refusal(
            "an archive without a manifest",
            good().zip_renaming("typecase.toml", "assets/x.toml"),
            400,
            "manifest-missing",
            &["typecase.toml"],
        ),
    ];
    refuse_all(&node, refusals).await;
}

#[tokio::test]
async fn manifests_and_components_that_cannot_be_served() {
    let node = TestNode::start().await;
    let with = |lines: &str| Bundle::of("bad").component(guests::hello()).manifest(lines).zip();
    let component = |bytes: &[u8]| Bundle::of("bad").component(bytes).zip();
    let refusals = vec![
        refusal(
            "a misspelt key",
            with("helth = \"/\""),
            400,
            "manifest-invalid",
            &["typecase.toml:5:1", "helth", "^^^^^", "did you mean `health`"],
        ),
        refusal("broken TOML", with("health = "), 400, "manifest-invalid", &["typecase.toml:5:", "^"]),
        refusal(
            "another name",
            Bundle::of("good").component(guests::hello()).zip(),
            400,
            "app-name-mismatch",
            &["`good`", "`bad`"],
        ),
        refusal(
            "a reserved name",
            Bundle::of("console").component(guests::hello()).zip(),
            400,
            "manifest-invalid",
            &["reserved"],
        ),
        refusal(
            "too much memory",
            with("[limits]\nmemory_mb = 4096"),
            400,
            "limit-too-high",
            &["memory_mb", "4096", "1024"],
        ),
        refusal(
            "too much time",
            with("[limits]\ntimeout_ms = 600001"),
            400,
            "limit-too-high",
            &["timeout_ms", "600000"],
        ),
        refusal(
            "grants that are not there yet",
            with("[grants]\nkeyvalue = [\"default\"]"),
            400,
            "manifest-unsupported",
            &["keyvalue"],
        ),
        refusal(
            "text as a component",
            component(b"this is text"),
            400,
            "not-a-component",
            &["wasm32-wasip2"],
        ),
        refusal("a cut component", component(&guests::hello()[..5_000]), 400, "not-a-component", &[]),
        // Each of these ended or stalled whoever read it.
        refusal(
            "components in components",
            nested_components(20_000),
            400,
            "not-a-component",
            &["nested in it more than 100 deep"],
        ),
        refusal("types in types", nested_types(100_000), 400, "not-a-component", &["nested too deeply"]),
        refusal(
            "a module with an import of its own",
            component(MODULE_WITH_AN_IMPORT),
            400,
            "not-componentizable",
            &["wasm32-wasip2"],
        ),
        refusal(
            "a component without a handler",
            component(EMPTY_COMPONENT),
            400,
            "wrong-world",
            &["wasi:http/incoming-handler@0.2.x"],
        ),
        refusal(
            "a bare component without a handler",
            EMPTY_COMPONENT.to_vec(),
            400,
            "wrong-world",
            &["nothing"],
        ),
        refusal(
            "imports that nobody offers",
            component_importing(&["acme:db/query@1.0.0", "wasi:keyvalue/store@0.2.0-draft"]),
            400,
            "unknown-imports",
            &["acme:db/query@1.0.0", "wasi:keyvalue/store@0.2.0-draft", "wasi:http"],
        ),
        refusal(
            "an interface of the other generation",
            component_importing(&["wasi:http/types@0.3.0"]),
            400,
            "unknown-imports",
            &["wasi:http/types@0.3.0", "0.2.x"],
        ),
    ];
    refuse_all(&node, refusals).await;
}

#[tokio::test]
async fn names_and_queries_that_are_wrong() {
    let node = TestNode::start().await;
    let upload = Bundle::of("hello").component(guests::hello()).zip();
    for (app, query, status, code) in [
        ("console", "", 400, "app-name-reserved"),
        ("UserService", "", 400, "app-name-reserved"),
        ("Hello", "", 400, "app-name-malformed"),
        ("-hello", "", 400, "app-name-malformed"),
        ("hello..%2F..%2Fetc", "", 400, "app-name-malformed"),
        ("hello", "?activte=false", 400, "query-invalid"),
        ("hello", "?digest=sha256:00", 400, "query-invalid"),
        ("hello", "?timeout_ms=999999999", 400, "timeout-too-long"),
    ] {
        node.api().publish(app, upload.clone(), query).await.expect_problem(status, code);
    }
    let wrong_digest = format!("?digest=sha256:{}", "0".repeat(64));
    let problem =
        node.api().publish("hello", upload, &wrong_digest).await.expect_problem(400, "digest-mismatch");
    assert!(problem["detail"].as_str().unwrap().contains(&"0".repeat(64)), "{problem}");
    assert_eq!(node.api().get("/api/v1/apps").await.json()["apps"], json!([]));
    assert!(files::below(&node.data().join("storage")).is_empty());

    let project = guests::example("hello").display().to_string();
    assert!(node.cli(["publish", &project, "--name", "console"]).await.expect(2).stderr.contains("reserved"));
}

#[tokio::test]
async fn uploads_that_are_too_large_or_break_off() {
    let node = TestNode::builder().config("limits", "bundle_mb", 1).start().await;
    let bystander = Bystander::on(&node).await;
    let large = vec![0; (1 << 20) + 1];
    let problem = node.api().publish("bad", large, "").await.expect_problem(413, "upload-too-large");
    assert!(problem["detail"].as_str().unwrap().contains("1048576"), "{problem}");
    assert!(chunked_upload(&node, 3 << 20).await.contains("upload-too-large"));

    // One sender leaves in the middle; another says so by ending its half of the connection.
    for says_goodbye in [false, true] {
        let mut stream = begin_upload(&node, "content-length: 100000").await;
        stream.write_all(&[0; 50_000]).await.unwrap();
        eventually("the upload's first half is there", async || {
            let files = files::below(&node.data().join("uploads"));
            (!files.is_empty()).then_some(())
        })
        .await;
        if says_goodbye {
            stream.shutdown().await.unwrap();
        } else {
            drop(stream);
        }
        eventually("the cut upload is gone", async || {
            files::below(&node.data().join("uploads")).is_empty().then_some(())
        })
        .await;
    }
    node.api().get("/api/v1/apps/bad").await.expect_problem(404, "not-found");
    bystander.went_on().await;
}

#[tokio::test]
async fn people_who_may_not() {
    let node = TestNode::start().await;
    let project = guests::example("hello").display().to_string();
    let viewer = node.cli(["token", "create", "eyes", "--role", "viewer"]).await.expect(0);
    let viewer = viewer.stdout.trim();
    let server = format!("http://{}", node.admin_address());
    for (token, code, exit) in
        [("tc_wrong", "token-invalid", 4), ("nonsense", "token-invalid", 4), (viewer, "role-missing", 4)]
    {
        let output = command::run(["publish", &project, "--server", &server, "--token", token, "--json"])
            .await
            .expect(exit);
        assert_eq!(output.json()["code"], code, "{output:?}");
        assert!(!output.stdout.contains(token) && !output.stderr.contains(token), "{output:?}");
    }
    let nobody = node.api().with_token(None);
    nobody.publish("hello", guests::hello(), "").await.expect_problem(401, "token-invalid");
    let viewer = node.api().with_token(Some(viewer));
    viewer.publish("hello", guests::hello(), "").await.expect_problem(403, "role-missing");
    viewer.get("/api/v1/apps").await.expect(200);
    viewer.send(Method::GET, "/api/v1/tokens", "".into()).await.expect_problem(403, "role-missing");
    node.api().get("/api/v1/apps/hello").await.expect_problem(404, "not-found");

    let missing = node.data().join("no-such-folder");
    let output =
        command::run(["apps", "--server", &server, "--data", &missing.display().to_string()]).await.expect(4);
    assert!(output.stderr.contains("cli-token"), "{output:?}");
    let unreachable = ["apps", "--server", "http://127.0.0.1:1", "--token", "tc_x", "--json"];
    assert_eq!(command::run(unreachable).await.expect(3).json()["code"], "server-unreachable");
}

/// A component that exports a 0.2 handler in name and imports these instances.
fn component_importing(names: &[&str]) -> Vec<u8> {
    fn section(kind: u8, content: &[u8]) -> Vec<u8> {
        [&[kind, u8::try_from(content.len()).unwrap()], content].concat()
    }
    fn name(name: &str) -> Vec<u8> {
        // 0: a plain extern name.
        [&[0, u8::try_from(name.len()).unwrap()], name.as_bytes()].concat()
    }
    let mut imports = vec![u8::try_from(names.len()).unwrap()];
    for import in names {
        imports.extend(name(import));
        // An instance of type 0.
        imports.extend([5, 0]);
    }
    let handler = name("wasi:http/incoming-handler@0.2.0");
    // The first imported instance stands for the handler.
    let exports = [&[1], handler.as_slice(), &[5, 0, 0]].concat();
    // The one type: an instance that exports nothing.
    [EMPTY_COMPONENT.to_vec(), section(7, &[1, 0x42, 0]), section(10, &imports), section(11, &exports)]
        .concat()
}

async fn begin_upload(node: &TestNode, length: &str) -> TcpStream {
    let mut stream = TcpStream::connect(node.admin_address()).await.unwrap();
    let token = node.api().token.unwrap();
    let head = format!(
        "PUT /api/v1/apps/bad/releases HTTP/1.1\r\nhost: node\r\nauthorization: Bearer {token}\r\n{length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Sends pieces without saying how many, until the server has had enough, and gives back its answer.
async fn chunked_upload(node: &TestNode, bytes: usize) -> String {
    const PIECE: usize = 64 << 10;
    let mut stream = begin_upload(node, "transfer-encoding: chunked").await;
    for _ in 0..bytes / PIECE {
        let piece = [format!("{PIECE:x}\r\n").as_bytes(), &[0; PIECE], b"\r\n"].concat();
        if stream.write_all(&piece).await.is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        answer.extend_from_slice(&piece[..count]);
        if answer.ends_with(b"}") {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Each the only thing within the next.
fn nested_components(depth: usize) -> Vec<u8> {
    let head = EMPTY_COMPONENT;
    let mut sizes = vec![head.len()];
    for _ in 0..depth {
        let inner = sizes[sizes.len() - 1];
        sizes.push(head.len() + 1 + leb128(inner).len() + inner);
    }
    let mut bytes = Vec::new();
    for inner in sizes.iter().rev().skip(1) {
        bytes.extend_from_slice(head);
        bytes.push(4);
        bytes.extend(leb128(*inner));
    }
    bytes.extend_from_slice(head);
    bytes
}

/// The type of a component that defines the type of a component, and so on; the innermost is empty.
fn nested_types(depth: usize) -> Vec<u8> {
    let types = [&[1][..], &[0x41, 1, 1].repeat(depth), &[0x41, 0]].concat();
    [EMPTY_COMPONENT, &[7], &leb128(types.len()), &types].concat()
}
