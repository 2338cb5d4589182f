//! Which app a request reaches, and what the app is told about where it came from.

use http::header::{ACCEPT, HOST};
use http::{HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use typecase_harness::bundles::Bundle;
use typecase_harness::client::{Answer, get, send_once};
use typecase_harness::{TestNode, guests};

use crate::offender;

async fn ask(node: &TestNode, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = get(node.apps_address(), path);
    for (name, value) in headers {
        let name = HeaderName::try_from(*name).unwrap();
        if name == HOST {
            request.headers_mut().remove(HOST);
        }
        request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
    }
    send_once(node.apps_address(), request).await.unwrap()
}

/// What the guest saw of the request.
async fn seen(node: &TestNode, path: &str, headers: &[(&str, &str)]) -> Value {
    ask(node, path, headers).await.expect(200).json()
}

#[tokio::test]
async fn the_first_segment_names_the_app_and_is_stripped() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "").await;
    for (path, inside) in [
        ("/hostile/request", "/request"),
        ("/hostile/request?a=b&c=%20", "/request?a=b&c=%20"),
        ("/hostile/request?/hostile/", "/request?/hostile/"),
    ] {
        let seen = seen(&node, path, &[]).await;
        assert_eq!(seen["path_with_query"], inside, "{path}");
        assert_eq!(seen["headers"]["x-forwarded-prefix"], json!(["/hostile"]), "{path}");
    }
    // Both are the app's root.
    for path in ["/hostile", "/hostile/", "/hostile?a"] {
        assert_eq!(ask(&node, path, &[]).await.expect(200).text(), "ok", "{path}");
    }
    // The rest of the path is the app's own business, in the spelling of the client.
    for path in
        ["/hostile//request", "/hostile/./request", "/hostile/../hostile/request", "/hostile/%72equest"]
    {
        assert_eq!(ask(&node, path, &[]).await.expect(404).text(), "no such behaviour", "{path}");
    }
    for path in [
        "/",
        "//",
        "//hostile/ok",
        "/Hostile/ok",
        "/hostil",
        "/hostiles/ok",
        "/hostile%2fok",
        "/hostile%2f..",
        "/%68ostile/ok",
        "/hostile;a/ok",
        "/../hostile/ok",
        "/.well-known/typecase/other",
        "/UserService/anything",
    ] {
        ask(&node, path, &[]).await.expect_problem(404, "app-not-found");
    }
    assert_eq!(ask(&node, "/.well-known/typecase/health", &[]).await.expect(200).text(), "ready\n");
}

#[tokio::test]
async fn errors_speak_the_language_of_who_asks() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "").await;
    for (path, status, code) in [("/nobody/", 404, "app-not-found"), ("/hostile/trap", 502, "guest-trap")] {
        let problem = ask(&node, path, &[("accept", "application/json")]).await;
        let id = problem.header("x-request-id").to_owned();
        assert_eq!(problem.expect_problem(status, code)["request_id"], *id);

        let page = ask(&node, path, &[(ACCEPT.as_str(), "text/html,application/xhtml+xml,*/*;q=0.8")]).await;
        let page = page.expect(status);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(page.header("cache-control"), "no-store");
        let (text, id) = (page.text(), page.header("x-request-id"));
        assert!(text.contains(id) && text.contains(code), "{text}");
    }
    // What a client sends is shown to nobody.
    let page = ask(&node, "/%3Cscript%3E/", &[("accept", "text/html")]).await.expect(404).text();
    assert!(!page.contains("<script"), "{page}");
}

#[tokio::test]
async fn a_host_of_its_own_or_below_the_base_domain_needs_no_prefix() {
    let node = TestNode::builder().config("ingress", "base_domain", "apps.example").start().await;
    offender::publish(&node, "hostile", "").await;
    let component = guests::component(&guests::guest("hostile"));
    let shop =
        Bundle::of("shop").component(component).manifest("health = \"/ok\"\nhosts = [\"shop.example\"]");
    node.publish_wasm("shop", shop.zip()).await;

    for (host, app) in [
        ("shop.example", "shop"),
        ("SHOP.EXAMPLE:8100", "shop"),
        ("shop.example.", "shop"),
        ("shop.apps.example", "shop"),
        ("hostile.apps.example:80", "hostile"),
    ] {
        let seen = seen(&node, "/request?a", &[("host", host)]).await;
        assert_eq!(seen["path_with_query"], "/request?a", "{host}");
        assert_eq!(seen["headers"]["x-forwarded-prefix"], Value::Null, "{host}");
        let line = node.admin_get("/metrics").await.text();
        assert!(line.contains(&format!("app=\"{app}\"")), "{host}");
    }
    // The prefix of another app is just a path there, and other hosts fall back to prefixes.
    ask(&node, "/hostile/request", &[("host", "shop.example")]).await.expect(404);
    let seen = seen(&node, "/hostile/request", &[("host", "other.example")]).await;
    assert_eq!(seen["path_with_query"], "/request");
    ask(&node, "/request", &[("host", "other.example")]).await.expect_problem(404, "app-not-found");
    for host in ["nobody.apps.example", "a.shop.apps.example", "apps.example", "evilapps.example"] {
        ask(&node, "/request", &[("host", host)]).await.expect_problem(404, "app-not-found");
    }
    // Names of apps under the base domain are theirs: no other app gets them, not even before they are published.
    let thief = |host: &str| {
        let manifest = format!("health = \"/ok\"\nhosts = [\"{host}\"]");
        Bundle::of("thief").component(guests::component(&guests::guest("hostile"))).manifest(&manifest).zip()
    };
    node.api().publish("thief", thief("shop.apps.example"), "").await.expect_problem(409, "host-taken");
    node.publish_wasm("thief", thief("late.apps.example")).await;
    let late = guests::hello_saying(1);
    node.publish_wasm("late", late).await;
    let answer = ask(&node, "/", &[("host", "late.apps.example")]).await.expect(200);
    assert_eq!(answer.text(), "release 00001\n");
    node.api().publish("thief", thief("localhost"), "").await.expect_problem(400, "manifest-invalid");
    // The server's own paths stay its own.
    let health = ask(&node, "/.well-known/typecase/health", &[("host", "shop.example")]).await;
    assert_eq!(health.expect(200).text(), "ready\n");
}

const FORGED: [(&str, &str); 7] = [
    ("x-forwarded-for", "203.0.113.9"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-port", "443"),
    ("x-forwarded-prefix", "/admin"),
    ("forwarded", "for=203.0.113.9;proto=https"),
    ("x-real-ip", "203.0.113.9"),
];

#[tokio::test]
async fn nobody_but_a_trusted_proxy_says_who_asks() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "").await;
    let seen = seen(&node, "/hostile/request", &[&FORGED[..], &[("x-request-id", "forged")]].concat()).await;
    let headers = &seen["headers"];
    assert_eq!(headers["x-forwarded-for"], json!(["127.0.0.1"]));
    assert_eq!(headers["x-forwarded-proto"], json!(["http"]));
    assert_eq!(headers["x-forwarded-host"], json!([node.apps_address().to_string()]));
    assert_eq!(headers["x-forwarded-prefix"], json!(["/hostile"]));
    for dropped in ["forwarded", "x-real-ip", "x-forwarded-port"] {
        assert_eq!(headers[dropped], Value::Null, "{dropped}");
    }
    assert_ne!(headers["x-request-id"], json!(["forged"]));
    assert_eq!(seen["scheme"], "http");
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let node = TestNode::builder().config("ingress", "trusted_proxies", vec!["127.0.0.0/8"]).start().await;
    offender::publish(&node, "hostile", "").await;
    let seen = seen(&node, "/hostile/request", &FORGED).await;
    let headers = &seen["headers"];
    assert_eq!(headers["x-forwarded-for"], json!(["203.0.113.9, 127.0.0.1"]));
    assert_eq!(headers["x-forwarded-proto"], json!(["https"]));
    assert_eq!(headers["x-forwarded-host"], json!(["evil.example"]));
    assert_eq!(headers["x-forwarded-port"], json!(["443"]));
    // Where the app hangs is our own doing, whoever asks.
    assert_eq!(headers["x-forwarded-prefix"], json!(["/hostile"]));
    assert_eq!(seen["scheme"], "https");
    // The client's address is the one in the access log.
    let line = crate::observability::access_line(&node, &["/hostile/request"]).await;
    assert_eq!(line["client.ip"], "203.0.113.9");
}

#[tokio::test]
async fn a_withdrawn_app_is_gone_and_comes_back() {
    let node = TestNode::start().await;
    offender::publish(&node, "hostile", "").await;
    assert_eq!(offender::metric(&node, "typecase_active_release", "hostile").await, Some(1.0));
    node.cli(["withdraw", "hostile"]).await.expect(0);
    typecase_harness::eventually("the app is gone", async || {
        (node.get("/hostile/ok").await.status == 404).then_some(())
    })
    .await;
    node.send(Method::POST, "/hostile/ok", "body").await.expect_problem(404, "app-not-found");
    assert_eq!(offender::metric(&node, "typecase_active_release", "hostile").await, Some(0.0));
    node.cli(["rollback", "hostile", "--to", "1"]).await.expect(0);
    typecase_harness::eventually("the app is back", async || {
        (node.get("/hostile/ok").await.status == 200).then_some(())
    })
    .await;
}
