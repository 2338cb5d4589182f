use http::{HeaderMap, Method, Response, StatusCode};

use super::*;

fn open(files: &[(&str, &str)]) -> (tempfile::TempDir, Assets) {
    let folder = tempfile::tempdir().unwrap();
    let (blob, index) = (folder.path().join("blob"), folder.path().join("index"));
    let mut writer = Writer::create(&blob, &index).unwrap();
    for (path, text) in files {
        writer
            .add(path, |sink| {
                sink.write_all(text.as_bytes()).unwrap();
                Ok(())
            })
            .unwrap();
    }
    writer.finish().unwrap();
    let assets = Assets::open(&blob, &index).unwrap();
    (folder, assets)
}

fn site() -> Assets {
    let long = "x".repeat(100);
    open(&[
        ("index.html", "<p>home"),
        ("app.js", &long),
        ("app.js.br", "br"),
        ("app.js.gz", "gz!"),
        ("docs/index.html", "<p>docs"),
        ("docs/ünï code.txt", "text"),
        ("empty", ""),
        ("data.bin", "0123456789"),
    ])
    .1
}

fn send(
    assets: &Assets,
    method: Method,
    path: &str,
    headers: &[(&'static str, &str)],
    fallback: Option<&str>,
) -> Option<Response<Bytes>> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    respond(assets, &AssetRequest { method: &method, path, query, headers: &map, fallback })
}

fn get(assets: &Assets, path: &str, headers: &[(&'static str, &str)]) -> Response<Bytes> {
    send(assets, Method::GET, path, headers, None).unwrap_or_else(|| panic!("no asset at {path}"))
}

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[test]
fn whole_files() {
    let assets = site();
    let page = get(&assets, "/", &[]);
    assert_eq!((page.status(), &page.body()[..]), (StatusCode::OK, &b"<p>home"[..]));
    assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header(&page, "cache-control"), "no-cache");
    assert_eq!(header(&page, "content-length"), "7");
    assert_eq!(header(&page, "x-content-type-options"), "nosniff");
    assert_eq!(header(&page, "accept-ranges"), "bytes");
    assert_eq!(header(&page, "vary"), "");
    assert_eq!(header(&page, "etag").len(), 34);
    assert_eq!(get(&assets, "/index.html", &[]).body(), page.body());
    assert_eq!(get(&assets, "/docs/", &[]).body(), "<p>docs");
    assert_eq!(get(&assets, "/docs/%C3%BCn%C3%AF%20code.txt", &[]).body(), "text");
    assert_eq!(header(&get(&assets, "/empty", &[]), "content-length"), "0");
    let data = get(&assets, "/data.bin", &[]);
    assert_eq!(header(&data, "content-type"), "application/octet-stream");
    assert_eq!(header(&data, "cache-control"), "public, max-age=0, must-revalidate");

    let head = send(&assets, Method::HEAD, "/data.bin", &[("range", "bytes=0-1")], None).unwrap();
    assert_eq!((head.status(), header(&head, "content-length")), (StatusCode::OK, "10"));
    assert!(head.body().is_empty());
}

#[test]
fn what_is_left_to_the_component() {
    let assets = site();
    for path in [
        "/missing",
        "",
        "/docs/index.html/",
        "//index.html",
        "/docs/../index.html",
        "/docs%2Findex.html",
        "/docs%5cindex.html",
        "/%",
        "/%4",
        "/%zz",
        "/%ff",
        "/index.html%00",
        "/Index.html",
        "/%2e%2e/index",
    ] {
        assert!(send(&assets, Method::GET, path, &[], None).is_none(), "{path}");
    }
    assert!(send(&assets, Method::POST, "/", &[], None).is_none());
    assert!(send(&Assets::default(), Method::GET, "/", &[], None).is_none());
    assert_eq!(header(&method_not_allowed(), "allow"), "GET, HEAD");
}

#[test]
fn folders_redirect_relatively() {
    let assets = site();
    let response = get(&assets, "/docs?page=2", &[]);
    assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
    assert_eq!(header(&response, "location"), "./docs/?page=2");
    let (_folder, assets) = open(&[("a/b:c/index.html", "")]);
    assert_eq!(header(&get(&assets, "/a/b%3Ac", &[]), "location"), "./b%3Ac/");
}

#[test]
fn fallback_answers_navigations_only() {
    let assets = site();
    let fallback = |path, headers: &[(&'static str, &str)]| {
        send(&assets, Method::GET, path, headers, Some("index.html"))
    };
    let page = fallback("/users/7", &[("accept", "text/html,*/*;q=0.8")]).unwrap();
    assert_eq!((page.status(), page.body()), (StatusCode::OK, &Bytes::from("<p>home")));
    assert_eq!(header(&page, "cache-control"), "no-cache");
    assert!(fallback("/users/7", &[("sec-fetch-mode", "navigate")]).is_some());
    assert!(fallback("/users/7", &[("sec-fetch-mode", "cors"), ("accept", "text/html")]).is_none());
    assert!(fallback("/api/users", &[("accept", "*/*")]).is_none());
    assert!(fallback("/gone.js", &[]).is_none());
    assert_eq!(fallback("/data.bin", &[("accept", "text/html")]).unwrap().body(), "0123456789");
}

#[test]
fn conditions() {
    let assets = site();
    let tag = header(&get(&assets, "/data.bin", &[]), "etag").to_owned();
    let status = |headers: &[(&'static str, &str)]| get(&assets, "/data.bin", headers).status();
    let weak = format!("\"other\", W/{tag}");
    for none_match in [tag.as_str(), weak.as_str(), "*"] {
        assert_eq!(status(&[("if-none-match", none_match)]), StatusCode::NOT_MODIFIED);
    }
    assert_eq!(status(&[("if-none-match", "\"other\"")]), StatusCode::OK);
    assert_eq!(status(&[("if-match", &tag)]), StatusCode::OK);
    assert_eq!(status(&[("if-match", "*")]), StatusCode::OK);
    assert_eq!(status(&[("if-match", &weak)]), StatusCode::PRECONDITION_FAILED, "weak tags never match here");
    let unchanged = get(&assets, "/data.bin", &[("if-none-match", &tag)]);
    assert!(unchanged.body().is_empty() && header(&unchanged, "etag") == tag);
    assert_eq!(header(&unchanged, "content-length"), "");
}

#[test]
fn parts() {
    let assets = site();
    let part = get(&assets, "/data.bin", &[("range", "bytes=2-4")]);
    assert_eq!((part.status(), part.body()), (StatusCode::PARTIAL_CONTENT, &Bytes::from("234")));
    assert_eq!(header(&part, "content-range"), "bytes 2-4/10");
    assert_eq!(header(&part, "content-length"), "3");
    let many = get(&assets, "/data.bin", &[("range", "bytes=0-1,4-5")]);
    assert_eq!((many.status(), many.body().len()), (StatusCode::OK, 10));
    let beyond = get(&assets, "/data.bin", &[("range", "bytes=10-")]);
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(header(&beyond, "content-range"), "bytes */10");

    let tag = header(&part, "etag").to_owned();
    let resumed = [("range", "bytes=2-4"), ("if-range", &tag)];
    assert_eq!(get(&assets, "/data.bin", &resumed).status(), StatusCode::PARTIAL_CONTENT);
    for stale in ["\"other\"", "Wed, 21 Oct 2015 07:28:00 GMT"] {
        let resumed = [("range", "bytes=2-4"), ("if-range", stale)];
        assert_eq!(get(&assets, "/data.bin", &resumed).status(), StatusCode::OK);
    }
}

#[test]
fn compressed_forms() {
    let assets = site();
    let with = |accepted: &str| get(&assets, "/app.js", &[("accept-encoding", accepted)]);
    let plain = get(&assets, "/app.js", &[]);
    assert_eq!((header(&plain, "content-encoding"), header(&plain, "vary")), ("", "accept-encoding"));
    for (accepted, encoding, body) in
        [("gzip, deflate, br", "br", "br"), ("gzip", "gzip", "gz!"), ("br;q=0.1, gzip;q=0.2", "gzip", "gz!")]
    {
        let response = with(accepted);
        assert_eq!((header(&response, "content-encoding"), response.body()), (encoding, &Bytes::from(body)));
        assert_eq!(header(&response, "content-type"), "text/javascript; charset=utf-8");
        assert_eq!(header(&response, "content-length"), body.len().to_string());
        assert_ne!(header(&response, "etag"), header(&plain, "etag"));
    }
    assert_eq!(with("identity").body(), plain.body());
    assert_eq!(get(&assets, "/app.js.br", &[]).body(), "br");
    let (_folder, assets) = open(&[("a.js", "a"), ("a.js.gz", "larger")]);
    assert_eq!(header(&get(&assets, "/a.js", &[("accept-encoding", "gzip")]), "content-encoding"), "");
}

#[test]
fn bodies_outlive_their_release() {
    let (folder, assets) = open(&[("a", "text")]);
    let body = get(&assets, "/a", &[]).into_body();
    drop((assets, folder));
    assert_eq!(body, "text");
}

#[test]
fn unusable_files_are_errors() {
    let (folder, assets) = open(&[]);
    assert!(assets.is_empty());
    let (blob, index) = (folder.path().join("blob"), folder.path().join("index"));
    std::fs::remove_file(&blob).unwrap();
    assert!(Assets::open(&blob, &index).unwrap().is_empty(), "without assets nothing is mapped");

    let (folder, _) = open(&[("a", "text"), ("b", "more")]);
    let (blob, index) = (folder.path().join("blob"), folder.path().join("index"));
    let text = std::fs::read_to_string(&index).unwrap();
    for (from, to) in [
        ("\"version\":1", "\"version\":2"),
        ("\"offset\":8", "\"offset\":9"),
        ("\"offset\":8", "\"offset\":18446744073709551615"),
        ("\"blob_bytes\":12", "\"blob_bytes\":13"),
        ("}]}", ""),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        std::fs::write(&index, changed).unwrap();
        assert!(matches!(Assets::open(&blob, &index), Err(AssetsError::Index { .. })), "{to}");
    }
    std::fs::write(&index, text).unwrap();
    std::fs::write(&blob, "cut").unwrap();
    assert!(Assets::open(&blob, &index).is_err());
}
