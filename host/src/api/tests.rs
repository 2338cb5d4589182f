//! The API through a real socket, with one pretended node instead of reconcile.

mod door;

use door::{Door, NodeBehaviour};
use reqwest::Method;
use serde_json::{Value, json};

use super::openapi::{OPERATIONS, Operation};

#[tokio::test(flavor = "multi_thread")]
async fn publish_roll_back_withdraw() {
    let door = Door::open(NodeBehaviour::Healthy).await;
    let (status, first) = door.publish("hello", "one", "?note=first").await;
    assert_eq!((status, &first["release"], &first["state"]), (200, &json!(1), &json!("active")));
    assert_eq!(first["receipts"][0]["state"], "active");
    assert_eq!((&first["generation"], &first["unchanged"]), (&json!(2), &json!(false)));

    let (status, again) = door.publish("hello", "one", "").await;
    assert_eq!((status, &again["release"], &again["unchanged"]), (200, &json!(1), &json!(true)));

    let (status, second) = door.publish("hello", "two", "?activate=false").await;
    assert_eq!((status, &second["state"]), (200, &json!("prepared")));
    let app = door.get("/api/v1/apps/hello").await.1;
    assert_eq!((&app["active"], &app["active_release"]["note"]), (&json!(1), &json!("first")));

    let (status, active) = door.post("/api/v1/apps/hello/activate", json!({"release": 2})).await;
    assert_eq!((status, &active["release"], &active["state"]), (200, &json!(2), &json!("active")));
    let (status, back) = door.post("/api/v1/apps/hello/rollback", json!({"to": null})).await;
    assert_eq!((status, &back["release"], &back["state"]), (200, &json!(1), &json!("active")));

    let (status, gone) = door.post("/api/v1/apps/hello/withdraw", json!({})).await;
    assert_eq!((status, &gone["active"]), (200, &Value::Null));
    let apps = door.get("/api/v1/apps").await.1;
    assert_eq!(apps["apps"][0]["name"], "hello");
    let releases = door.get("/api/v1/apps/hello/releases").await.1;
    assert_eq!(releases["releases"].as_array().unwrap().len(), 2);
    let receipts = door.get("/api/v1/apps/hello/releases/1/receipts").await.1;
    assert_eq!(receipts["receipts"][0]["node"], "node-1");
    assert_eq!(door.get("/api/v1/nodes").await.1["nodes"][0]["health"], "live");
    assert_eq!(door.files_left_by_uploads(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_release_is_reported_node_by_node_and_changes_nothing() {
    let door = Door::open(NodeBehaviour::FailsTheSecond).await;
    door.publish("hello", "one", "").await;
    let (status, problem) = door.publish("hello", "two", "").await;
    assert_eq!((status, &problem["code"]), (422, &json!("release-failed")));
    assert_eq!(problem["receipts"][0]["detail"], "health path / answered 500");
    assert!(problem["detail"].as_str().unwrap().contains("node one: health path"), "{problem}");
    let app = door.get("/api/v1/apps/hello").await.1;
    assert_eq!((&app["active"], &app["candidate"]), (&json!(1), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_want_to_wait_is_answered_at_once_and_the_next_one_is_refused() {
    let door = Door::open(NodeBehaviour::Silent).await;
    let (status, first) = door.publish("hello", "one", "?wait=0").await;
    assert_eq!((status, &first["state"]), (202, &json!("preparing")));
    let (status, problem) = door.publish("hello", "two", "").await;
    assert_eq!((status, &problem["code"]), (409, &json!("rollout-in-progress")));
    let (status, still) = door.publish("other", "one", "?timeout_ms=50").await;
    assert_eq!((status, &still["state"]), (202, &json!("preparing")));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_uploads_leave_nothing_behind() {
    let door = Door::open(NodeBehaviour::Healthy).await;
    let other = format!("?digest=sha256:{}", "0".repeat(64));
    for (app, body, query, status, code) in [
        ("hello", door.bundle("hello", "one"), &*other, 400, "digest-mismatch"),
        ("other", door.bundle("hello", "one"), "", 400, "app-name-mismatch"),
        ("hello", b"nonsense".to_vec(), "", 400, "not-a-bundle"),
        ("hello", b"\0asm\x01\0\0\0".to_vec(), "", 400, ""),
        ("hello", vec![0; door::BUNDLE_BYTES_MAX + 1], "", 413, "upload-too-large"),
        ("hello", Vec::new(), "?unknown=1", 400, "query-invalid"),
        ("hello", Vec::new(), "?timeout_ms=99999999", 400, "timeout-too-long"),
        ("console", Vec::new(), "", 400, "app-name-reserved"),
        ("Hello", Vec::new(), "", 400, "app-name-malformed"),
    ] {
        let path = format!("/api/v1/apps/{app}/releases{query}");
        let (found, problem) = door.send(Method::PUT, &path, Some(&door.admin), body).await;
        assert_eq!(found, status, "{code}: {problem}");
        assert!(code.is_empty() || problem["code"] == code, "{code}: {problem}");
    }
    door.send_half_an_upload("hello").await;
    assert_eq!(door.files_left_by_uploads(), 0);
    assert_eq!(door.get("/api/v1/apps").await.1["apps"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_leaves_its_connection_usable() {
    let door = Door::open(NodeBehaviour::Silent).await;
    let head = |line: &str, length: usize| {
        let token = &door.admin;
        format!(
            "{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let length = door::BUNDLE_BYTES_MAX + 1;
    for upload in
        ["PUT /api/v1/apps/hello/releases", "PUT /api/v1/apps/hello/releases?unknown=1", "PUT /nothing"]
    {
        let next = head("GET /api/v1/apps", 0);
        let bytes = [head(upload, length).as_bytes(), &vec![0; length], next.as_bytes()].concat();
        let answers = door.converse(&bytes, "\"apps\"").await;
        assert!(answers.starts_with("HTTP/1.1 4") && answers.contains("\"apps\":[]"), "{upload}: {answers}");
    }
    // Who asks first is not told to send what nobody wants.
    let head =
        head("PUT /api/v1/apps/hello/releases", length).replace("Host: x", "Host: x\r\nExpect: 100-continue");
    let answers = door.converse(head.as_bytes(), "request_id").await;
    assert!(answers.starts_with("HTTP/1.1 413"), "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_a_problem_document() {
    let door = Door::open(NodeBehaviour::Healthy).await;
    let admin = Some(&*door.admin);
    let long = serde_json::to_vec(&json!({"name": "x".repeat(70_000), "role": "viewer"})).unwrap();
    for (method, path, body, status, code) in [
        ("GET", "/nothing", b"".to_vec(), 404, "route-not-found"),
        ("GET", "/api/v1/apps/none", b"".to_vec(), 404, "not-found"),
        ("GET", "/api/v1/apps/none/releases/x/receipts", b"".to_vec(), 400, "release-number-malformed"),
        ("DELETE", "/api/v1/apps", b"".to_vec(), 405, "method-not-allowed"),
        ("POST", "/api/v1/tokens", b"{".to_vec(), 400, "body-invalid"),
        ("POST", "/api/v1/tokens", br#"{"name":"a","role":"king"}"#.to_vec(), 400, "body-invalid"),
        (
            "POST",
            "/api/v1/tokens",
            br#"{"name":"a b","role":"viewer"}"#.to_vec(),
            400,
            "token-name-malformed",
        ),
        ("POST", "/api/v1/tokens", long, 413, "body-too-large"),
        ("POST", "/api/v1/apps/none/rollback", b"{}".to_vec(), 404, "not-found"),
        ("POST", "/api/v1/apps/none/withdraw", b"{}".to_vec(), 404, "not-found"),
        (
            "POST",
            "/api/v1/sign-in",
            br#"{"user":"admin","password":"wrong"}"#.to_vec(),
            401,
            "password-wrong",
        ),
        (
            "POST",
            "/api/v1/setup",
            br#"{"token":"x","password":"long enough"}"#.to_vec(),
            403,
            "setup-link-invalid",
        ),
    ] {
        let (found, problem) = door.send(method.parse().unwrap(), path, admin, body).await;
        assert_eq!((found, &problem["code"]), (status, &json!(code)), "{method} {path}: {problem}");
        assert_eq!(problem["status"], status);
        for field in ["type", "title", "detail", "request_id"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {problem}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_takes_its_role() {
    let door = Door::open(NodeBehaviour::Healthy).await;
    let token = async |name: &str, role: &str| {
        let (status, made) = door.post("/api/v1/tokens", json!({"name": name, "role": role})).await;
        assert_eq!(status, 201, "{made}");
        made["token"].as_str().unwrap().to_owned()
    };
    let (viewer, publisher) = (token("v", "viewer").await, token("p", "publisher").await);
    let admin = door.admin.clone();
    // Whoever has less than the role is answered 401 or 403; whoever has it is let in, to other errors.
    for Operation { method, path, role, .. } in OPERATIONS {
        let Some(let_in_from) = role.map(|role| role as usize + 1) else { continue };
        let method = method.to_uppercase();
        let path = &path.replace("{app}", "x").replace("{release}", "1").replace("{name}", "none");
        let tokens = [None, Some(&*viewer), Some(&*publisher), Some(&*admin)];
        for (rank, token) in tokens.into_iter().enumerate() {
            let (status, problem) = door.send(method.parse().unwrap(), path, token, Vec::new()).await;
            match (rank < let_in_from, rank) {
                (true, 0) => assert_eq!(status, 401, "{method} {path}: {problem}"),
                (true, _) => assert_eq!(status, 403, "{method} {path} {rank}: {problem}"),
                (false, _) => assert!(!matches!(status, 401 | 403), "{method} {path} {rank}: {problem}"),
            }
        }
    }
    let (status, _) = door.send(Method::DELETE, "/api/v1/tokens/v", Some(&admin), Vec::new()).await;
    assert_eq!(status, 204);
    assert_eq!(door.send(Method::GET, "/api/v1/apps", Some(&viewer), Vec::new()).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setup_page_sets_the_password() {
    let door = Door::open_before_setup().await;
    let secret = door.setup_token.clone().unwrap();
    let (status, page) = door.page("GET", &format!("/setup?token={secret}"), "").await;
    assert!(status == 200 && page.contains(&secret));
    let (_, page) = door.page("GET", "/setup?token=%22%3E%3Cscript%3E", "").await;
    assert!(!page.contains("<script>"));
    let differ = format!("token={secret}&password=long+enough&again=other+text");
    assert_eq!(door.page("POST", "/setup", &differ).await.0, 400);
    let same = format!("token={secret}&password=long+enough&again=long+enough");
    assert_eq!(door.page("POST", "/setup", &same).await.0, 200);
    assert_eq!(door.page("POST", "/setup", &same).await.0, 403);

    let (status, signed_in) =
        door.post("/api/v1/sign-in", json!({"user": "admin", "password": "long enough"})).await;
    assert_eq!(status, 200, "{signed_in}");
    let token = signed_in["token"].as_str().unwrap();
    let me = door.send(Method::GET, "/api/v1/me", Some(token), Vec::new()).await;
    assert_eq!(me, (200, json!({"name": "admin", "role": "admin"})));
    let (status, _) = door.send(Method::POST, "/api/v1/sign-out", Some(token), Vec::new()).await;
    assert_eq!(status, 204);
    assert_eq!(door.send(Method::GET, "/api/v1/me", Some(token), Vec::new()).await.0, 401);
}
