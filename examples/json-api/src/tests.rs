//! `cargo test` in this folder runs these natively: no server, no WebAssembly.

use serde_json::{Value, json};
use typecase_sdk::testing::TestApp;

use super::app;

#[test]
fn lengths_are_converted_and_rounded_as_configured() {
    let app = TestApp::new(app());
    assert_eq!(
        app.get("/convert/mile/kilometre?value=2").json::<Value>(),
        json!({ "value": 3.2187, "unit": "kilometre" })
    );
    let app = app.config("decimals", "1");
    assert_eq!(app.get("/convert/mile/kilometre?value=2").json::<Value>()["value"], 3.2);
    let app = app.config("decimals", "many");
    assert_eq!(app.get("/convert/mile/kilometre?value=2").status(), 500);
    assert!(app.logs()[0].message.contains("config `decimals` cannot be read"));
}

#[test]
fn lengths_are_added() {
    let app = TestApp::new(app());
    let lengths = json!([{ "value": 1, "unit": "foot" }, { "value": 12, "unit": "inch" }]);
    let answer = app.post_json("/sum", &json!({ "to": "foot", "lengths": lengths }));
    assert_eq!(answer.json::<Value>(), json!({ "value": 2.0, "unit": "foot" }));
    assert_eq!(app.logs()[0].message, "adding 2 lengths");
}

#[test]
fn mistakes_are_problems_with_a_code() {
    let app = TestApp::new(app());
    for (answer, status, code) in [
        (app.get("/convert/yard/metre?value=1"), 404, "unit-unknown"),
        (app.get("/convert/foot/metre"), 400, "query-invalid"),
        (app.post_json("/sum", &json!({ "to": "foot" })), 422, "json-invalid"),
        (app.post("/sum", "{}"), 415, "not-json"),
        (app.get("/sum"), 405, "method-not-allowed"),
    ] {
        assert_eq!((answer.status().as_u16(), &answer.json::<Value>()["code"]), (status, &json!(code)));
    }
    let unknown = app.get("/convert/yard/metre?value=1").json::<Value>();
    assert_eq!(unknown["units"][0], "foot");
}
