//! What clients are told of errors, and what only the log sees.

use std::fmt;

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};
use typecase_sdk::testing::TestApp;
use typecase_sdk::{App, Error, Html, IntoResponse, Result, config, log};

#[derive(Debug)]
struct Outer(std::num::ParseIntError);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stored price of `ink` is damaged")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn other_errors_are_a_500_whose_reason_only_the_log_has() {
    let app =
        App::new().get("/", async || -> Result<String> { Ok("x".parse::<u8>().map_err(Outer)?.to_string()) });
    let app = TestApp::new(app);
    let answer = app.get("/");
    assert_eq!(answer.status(), 500);
    let problem: Value = answer.json();
    assert_eq!((&problem["code"], &problem["title"]), (&json!("internal"), &json!("Internal Server Error")));
    assert!(!answer.text().contains("price") && !answer.text().contains("digit"), "{}", answer.text());
    let line = &app.logs()[0];
    assert_eq!(line.level, log::Level::Error);
    let reason = "GET /: the stored price of `ink` is damaged: invalid digit found in string";
    assert_eq!(line.message, reason);
}

#[test]
fn problems_carry_what_their_author_gives_them() {
    let app = App::new().get("/", async || -> Result<()> {
        Err(Error::new(StatusCode::TOO_MANY_REQUESTS, "too-fast", "Slow down.")
            .kind("https://example.com/problems/too-fast")
            .member("limit", 10)
            .member("status", 200)
            .header(RETRY_AFTER, HeaderValue::from_static("5")))
    });
    let app = TestApp::new(app);
    let answer = app.get("/");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (429, &HeaderValue::from_static("5"))
    );
    let expected = json!({
        "type": "https://example.com/problems/too-fast",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "Slow down.",
        "code": "too-fast",
        "limit": 10,
    });
    assert_eq!(answer.json::<Value>(), expected);
    assert!(app.logs().is_empty(), "what is the client's fault is not logged");
}

#[test]
fn every_shorthand_has_its_status() {
    for (error, status) in [
        (Error::bad_request(""), 400),
        (Error::unauthorized("").header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")), 401),
        (Error::forbidden(""), 403),
        (Error::not_found(""), 404),
        (Error::conflict(""), 409),
        (Error::unprocessable(""), 422),
        (Error::internal(""), 500),
    ] {
        assert_eq!(error.status().as_u16(), status);
    }
}

#[test]
fn config_that_is_missing_or_wrong_is_named_without_its_value() {
    let app = App::new()
        .get("/require", async || config::require("key"))
        .get("/parse", async || -> Result<String> {
            Ok(config::parse::<u16>("port")?.unwrap_or(80).to_string())
        })
        .get("/all", async || -> Result<String> { Ok(format!("{:?}", config::all()?)) });
    let app = TestApp::new(app).config("port", "hunter2");
    assert_eq!(app.get("/require").status(), 500);
    assert_eq!(app.get("/parse").status(), 500);
    let logs = app.logs();
    assert!(logs[0].message.contains("`key` is not set: declare it in [config]"), "{logs:?}");
    assert!(logs[1].message.contains("`port` cannot be read as u16") && !logs[1].message.contains("hunter2"));
    let app = app.config("port", "8080");
    assert_eq!(app.get("/parse").text(), "8080");
    assert_eq!(app.get("/all").text(), r#"[("port", "8080")]"#);
}

#[test]
fn headers_that_cannot_be_are_the_apps_mistake() {
    let app = App::new().get("/bad", async || ([("x-name", "a\nb")], "text")).get("/good", async || {
        (StatusCode::ACCEPTED, [("content-type", "text/csv"), ("x-a", "1")], Html("a,b"))
    });
    let app = TestApp::new(app);
    assert_eq!(app.get("/bad").status(), 500);
    let answer = app.get("/good");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (202, &HeaderValue::from_static("text/csv"))
    );
    assert_eq!(answer.headers().get_all("content-type").iter().count(), 1);
}

#[test]
fn levels_and_targets_reach_the_log() {
    let app = App::new().get("/", async || {
        log::debug!("about to");
        log::warn!(target: "stock", "only {} left", 3);
    });
    let app = TestApp::new(app);
    assert_eq!(app.get("/").status(), 204);
    let logs = app.logs();
    assert_eq!((logs[0].level, logs[0].message.as_str()), (log::Level::Debug, "about to"));
    assert_eq!((logs[1].target.as_str(), logs[1].message.as_str()), ("stock", "only 3 left"));
}

/// Errors of handlers are answers like any other.
#[test]
fn an_error_becomes_an_answer_by_itself() {
    let error = Err::<(), _>(Error::conflict("Somebody else was faster.")).into_response().unwrap_err();
    assert_eq!(error.to_string(), "Somebody else was faster.");
}
