//! Static files of a release, answered by the host.

use http::{HeaderName, HeaderValue, Method};
use typecase_harness::bundles::Bundle;
use typecase_harness::client::{Answer, request, send_once};
use typecase_harness::{TestNode, guests};

const PAGE: &str = "<!doctype html><title>page</title>";
const SCRIPT: &str = "export const answer = 42;";

async fn ask(node: &TestNode, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = request(node.apps_address(), method, path, None, Vec::new().into());
    for (name, value) in headers {
        request
            .headers_mut()
            .append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    send_once(node.apps_address(), request).await.unwrap()
}

async fn get(node: &TestNode, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(node, Method::GET, path, headers).await
}

fn files(app: &str) -> Bundle {
    Bundle::of(app)
        .asset("index.html", PAGE)
        .asset("app.js", SCRIPT)
        .asset("app.js.br", "as if by brotli")
        .asset("app.js.gz", "as if by gzip")
        .asset("docs/index.html", "docs")
        .asset("a b/\u{fc}.txt", "a name")
        .asset("data.bin", "0123456789")
}

#[tokio::test]
async fn files_are_served_with_what_caches_and_browsers_need() {
    let node = TestNode::start().await;
    node.publish_wasm("site", files("site").zip()).await;

    let page = get(&node, "/site/", &[]).await.expect(200);
    assert_eq!(page.text(), PAGE);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("cache-control"), "no-cache");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("content-length"), PAGE.len().to_string());
    let script = get(&node, "/site/app.js", &[]).await.expect(200);
    assert_eq!(
        (script.text(), script.header("content-type")),
        (SCRIPT.to_owned(), "text/javascript; charset=utf-8")
    );
    assert_eq!(script.header("vary"), "accept-encoding");
    assert_eq!(get(&node, "/site/a%20b/%C3%BC.txt", &[]).await.expect(200).text(), "a name");

    // Without the slash, the page's relative links would lead elsewhere.
    for (path, location) in [("/site", "/site/"), ("/site?a=b", "/site/?a=b"), ("/site/docs?a", "./docs/?a")]
    {
        assert_eq!(get(&node, path, &[]).await.expect(308).header("location"), location, "{path}");
    }
    assert_eq!(get(&node, "/site/docs/", &[]).await.expect(200).text(), "docs");

    let head = ask(&node, Method::HEAD, "/site/app.js", &[]).await.expect(200);
    assert_eq!((head.text(), head.header("content-length")), (String::new(), &*SCRIPT.len().to_string()));
    assert_eq!(head.header("etag"), script.header("etag"));

    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let refused = ask(&node, method, "/site/app.js", &[]).await.expect(405);
        assert_eq!(refused.header("allow"), "GET, HEAD");
    }
    get(&node, "/site/nothing.js", &[]).await.expect_problem(404, "not-found");
    ask(&node, Method::POST, "/site/nothing", &[]).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_out_of_the_assets() {
    let node = TestNode::start().await;
    node.publish_wasm("site", files("site").zip()).await;
    for path in [
        "/site/../site/index.html",
        "/site/docs/../index.html",
        "/site/docs/%2e%2e/index.html",
        "/site/%2e%2e/%2e%2e/typecase.db",
        "/site/docs%2findex.html",
        "/site/docs\\index.html",
        "/site/docs%5cindex.html",
        "/site//index.html",
        "/site/./index.html",
        "/site/index.html/",
        "/site/index.html%00",
        "/site/index.htm%",
        "/site/typecase.toml",
        "/site/component.wasm",
        "/site//etc/passwd",
        "/site/%2fetc/passwd",
    ] {
        get(&node, path, &[]).await.expect_problem(404, "not-found");
    }
}

#[tokio::test]
async fn what_a_client_has_already_is_not_sent_again() {
    let node = TestNode::start().await;
    node.publish_wasm("site", files("site").zip()).await;
    let tag = get(&node, "/site/data.bin", &[]).await.expect(200).header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.len() > 10, "{tag}");
    let weak = format!("W/{tag}");
    let list = format!("\"other\", {weak}");
    for (name, value, status) in [
        ("if-none-match", tag.as_str(), 304),
        ("if-none-match", &weak, 304),
        ("if-none-match", &list, 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "\"other\"", 200),
        ("if-match", &tag, 200),
        ("if-match", "\"other\"", 412),
    ] {
        let answer = get(&node, "/site/data.bin", &[(name, value)]).await.expect(status);
        assert_eq!(answer.text().len(), if status == 200 { 10 } else { 0 }, "{name}: {value}");
        if status == 304 {
            assert_eq!(answer.header("etag"), tag);
        }
    }
    // Each release has its own tags.
    let other = files("site").asset("more.txt", "more");
    node.publish_wasm("site", other.zip()).await;
    get(&node, "/site/data.bin", &[("if-none-match", &tag)]).await.expect(304);
    node.publish_wasm("site", Bundle::of("site").asset("data.bin", "9876543210").zip()).await;
    assert_eq!(
        get(&node, "/site/data.bin", &[("if-none-match", &tag)]).await.expect(200).text(),
        "9876543210"
    );
}

#[tokio::test]
async fn parts_of_a_file_can_be_asked_for() {
    let node = TestNode::start().await;
    node.publish_wasm("site", files("site").zip()).await;
    for (range, status, content, content_range) in [
        ("bytes=0-3", 206, "0123", "bytes 0-3/10"),
        ("bytes=7-", 206, "789", "bytes 7-9/10"),
        ("bytes=-2", 206, "89", "bytes 8-9/10"),
        ("bytes=5-100", 206, "56789", "bytes 5-9/10"),
        ("bytes=-100", 206, "0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, "", "bytes */10"),
        ("bytes=-0", 416, "", "bytes */10"),
        // Not understood, or not supported: the whole.
        ("bytes=3-1", 200, "0123456789", ""),
        ("bytes=0-1,3-4", 200, "0123456789", ""),
        ("lines=0-1", 200, "0123456789", ""),
        ("bytes=99999999999999999999-", 200, "0123456789", ""),
    ] {
        let answer = get(&node, "/site/data.bin", &[("range", range)]).await;
        assert_eq!((answer.status, answer.text().as_str()), (status, content), "{range}");
        assert_eq!(answer.header("content-range"), content_range, "{range}");
    }
    let tag = get(&node, "/site/data.bin", &[]).await.header("etag").to_owned();
    let part = [("range", "bytes=0-3"), ("if-range", tag.as_str())];
    get(&node, "/site/data.bin", &part).await.expect(206);
    get(&node, "/site/data.bin", &[("range", "bytes=0-3"), ("if-range", "\"other\"")]).await.expect(200);
    ask(&node, Method::HEAD, "/site/data.bin", &[("range", "bytes=0-3")]).await.expect(200);
}

#[tokio::test]
async fn compressed_copies_are_for_clients_that_take_them() {
    let node = TestNode::start().await;
    node.publish_wasm("site", files("site").zip()).await;
    for (accepts, encoding, content) in [
        ("br, gzip", "br", "as if by brotli"),
        ("gzip", "gzip", "as if by gzip"),
        ("gzip;q=1, br;q=0.5", "gzip", "as if by gzip"),
        ("br;q=0, gzip", "gzip", "as if by gzip"),
        ("br;q=0, gzip;q=0", "", SCRIPT),
        ("zstd", "", SCRIPT),
        ("identity", "", SCRIPT),
    ] {
        let answer = get(&node, "/site/app.js", &[("accept-encoding", accepts)]).await.expect(200);
        assert_eq!(
            (answer.header("content-encoding"), answer.text().as_str()),
            (encoding, content),
            "{accepts}"
        );
        assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(answer.header("vary"), "accept-encoding");
    }
    let plain = get(&node, "/site/app.js", &[]).await.header("etag").to_owned();
    let brotli = get(&node, "/site/app.js", &[("accept-encoding", "br")]).await.header("etag").to_owned();
    assert_ne!(plain, brotli, "a cache must not take one for the other");
}

#[tokio::test]
async fn an_apps_fallback_answers_navigations_and_its_component_the_rest() {
    let node = TestNode::start().await;
    let component = guests::component(&guests::guest("hostile"));
    let site = files("spa").component(component).manifest("health = \"/ok\"\nfallback = \"index.html\"");
    // The manifest's lines follow those of the assets, in one section.
    node.publish_wasm("spa", site.zip()).await;
    let html = [("accept", "text/html,*/*")];
    for path in ["/spa/", "/spa/some/where", "/spa/trap"] {
        assert_eq!(get(&node, path, &html).await.expect(200).text(), PAGE, "{path}");
    }
    assert_eq!(get(&node, "/spa/ok", &[("accept", "application/json")]).await.expect(200).text(), "ok");
    assert_eq!(get(&node, "/spa/app.js", &html).await.expect(200).text(), SCRIPT);
    // A script's call is no navigation, whatever it accepts.
    let call = [("accept", "text/html"), ("sec-fetch-mode", "cors")];
    assert_eq!(get(&node, "/spa/some/where", &call).await.expect(404).text(), "no such behaviour");
    // Only the component knows what other methods mean.
    assert_eq!(ask(&node, Method::POST, "/spa/ok", &html).await.expect(200).text(), "ok");
    assert_eq!(ask(&node, Method::POST, "/spa/app.js", &html).await.expect(404).text(), "no such behaviour");
}
