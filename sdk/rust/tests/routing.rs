//! Which handler answers, and what is said when none does.

use http::{Method, Request, StatusCode};
use serde_json::Value;
use typecase_sdk::testing::TestApp;
use typecase_sdk::{App, Body, Html, Path};

fn app() -> TestApp {
    let app = App::new()
        .get("/", async || "root")
        .get("/notes", async || "list")
        .post("/notes", async || StatusCode::CREATED)
        .get("/notes/latest", async || "latest")
        .get("/notes/{id}", async |Path(id): Path<u32>| format!("note {id}"))
        .delete("/notes/{id}", async || ())
        .get("/files/{*path}", async |Path(path): Path<String>| path);
    TestApp::new(app)
}

fn ask(app: &TestApp, method: Method, path: &str) -> typecase_sdk::testing::TestResponse {
    app.call(Request::builder().method(method).uri(path).body(Body::empty()).unwrap())
}

#[test]
fn literal_paths_win_over_parameters() {
    let app = app();
    for (path, answer) in [
        ("/", "root"),
        ("/notes", "list"),
        ("/notes?sort=up", "list"),
        ("/notes/latest", "latest"),
        ("/notes/7", "note 7"),
        ("/files/a/b%20c/d.txt", "a/b c/d.txt"),
    ] {
        assert_eq!(app.get(path).text(), answer, "{path}");
    }
}

#[test]
fn what_is_not_there_is_a_problem() {
    let app = app();
    for path in ["/nowhere", "/notes/", "/notes/1/2", "//", "/files/"] {
        let answer = app.get(path);
        assert_eq!(
            (answer.status().as_u16(), &answer.json::<Value>()["code"]),
            (404, &"not-found".into()),
            "{path}"
        );
    }
    assert_eq!(app.get("/notes/seven").json::<Value>()["code"], "path-invalid");
    assert_eq!(app.get("/files/%ff").json::<Value>()["code"], "path-invalid");
}

#[test]
fn other_methods_are_told_which_there_are() {
    let app = app();
    for (method, path, allowed) in [
        (Method::DELETE, "/notes", "GET, HEAD, POST"),
        (Method::POST, "/notes/7", "GET, HEAD, DELETE"),
        (Method::OPTIONS, "/", "GET, HEAD"),
    ] {
        let answer = ask(&app, method, path);
        assert_eq!((answer.status().as_u16(), &answer.headers()["allow"]), (405, &allowed.parse().unwrap()));
        assert_eq!(answer.json::<Value>()["code"], "method-not-allowed");
    }
}

#[test]
fn head_is_get_without_its_body() {
    let app = app();
    for (path, status, length) in [("/notes/7", 200, "6"), ("/", 200, "4")] {
        let answer = ask(&app, Method::HEAD, path);
        assert_eq!((answer.status().as_u16(), answer.body().len()), (status, 0));
        assert_eq!(answer.headers()["content-length"], length);
        assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    }
    let page = TestApp::new(App::new().get("/", async || Html("")));
    assert_eq!(ask(&page, Method::HEAD, "/").headers()["content-type"], "text/html; charset=utf-8");
    let nothing = TestApp::new(App::new().get("/", async || ()));
    let answer = ask(&nothing, Method::HEAD, "/");
    assert_eq!((answer.status().as_u16(), answer.headers().get("content-length")), (204, None));
    let answer = ask(&app, Method::HEAD, "/nowhere");
    assert_eq!((answer.status().as_u16(), answer.body().len()), (404, 0));
}

#[test]
fn parameters_that_the_route_does_not_have_are_the_apps_mistake() {
    #[derive(serde::Deserialize)]
    struct Named {
        name: String,
    }
    let app = App::new()
        .get("/one/{id}", async |Path((a, b)): Path<(String, String)>| a + &b)
        .get("/two/{id}/{part}", async |Path(id): Path<String>| id)
        .get("/named/{id}", async |Path(named): Path<Named>| named.name);
    let app = TestApp::new(app);
    for (path, reason) in [
        ("/one/1", "wants 2 parameters, it has 1"),
        ("/two/1/2", "wants one parameter, it has 2"),
        ("/named/1", "wants the parameter `name`"),
    ] {
        assert_eq!(app.get(path).status(), 500);
        let logs = app.logs();
        assert!(logs.last().unwrap().message.contains(reason), "{logs:?}");
    }
}

#[test]
fn a_fallback_answers_what_no_path_matches() {
    let app =
        App::new().get("/a", async || "a").fallback(async |method: Method| format!("{method} elsewhere"));
    let app = TestApp::new(app);
    assert_eq!(app.get("/b").text(), "GET elsewhere");
    assert_eq!(app.post("/a", "").status(), 405);
}

#[test]
#[should_panic(expected = "the route `/notes/{name}` cannot be")]
fn routes_that_contradict_each_other_are_found() {
    TestApp::new(App::new().get("/notes/{id}", async || "").get("/notes/{name}", async || ""));
}

#[test]
#[should_panic(expected = "the route `GET /` has two handlers")]
fn a_route_has_one_handler() {
    let _ = App::new().get("/", async || "").get("/", async || "");
}
