//! Native tests: `cargo test` runs them without a server.

use serde_json::{Value, json};
use typecase_sdk::testing::TestApp;

use super::app;

#[test]
fn the_page_links_to_what_there_is() {
    assert!(TestApp::new(app()).get("/").text().contains("href=\"products\""));
}

#[test]
fn products_are_listed_and_shown() {
    let app = TestApp::new(app());
    assert_eq!(app.get("/products").json::<Vec<Value>>().len(), 2);
    assert_eq!(app.get("/products/ink").json::<Value>()["price_cents"], 1_250);
}

#[test]
fn a_product_that_is_not_there_is_a_problem_with_a_code() {
    let answer = TestApp::new(app()).get("/products/tea");
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(answer.json::<Value>()["code"], "product-unknown");
}

#[test]
fn quotes_have_the_tax_that_is_set() {
    let app = TestApp::new(app()).config("tax_percent", "10");
    let answer = app.post_json("/quotes", &json!({ "product": "ink", "count": 2 }));
    assert_eq!(answer.status(), 201);
    let expected = json!({ "product": "ink", "count": 2, "net_cents": 2_500, "tax_cents": 250 });
    assert_eq!(answer.json::<Value>(), expected);
    assert_eq!(app.logs()[0].message, "quoted 2 x ink");
}

#[test]
fn wishes_that_make_no_sense_are_refused() {
    let app = TestApp::new(app());
    for (wish, code) in [
        (json!({ "product": "ink", "count": 0 }), "count-out-of-range"),
        (json!({ "product": "ink" }), "json-invalid"),
        (json!({ "product": "ink", "count": 1, "colour": "red" }), "json-invalid"),
    ] {
        let answer = app.post_json("/quotes", &wish);
        assert_eq!((answer.status().as_u16(), &answer.json::<Value>()["code"]), (422, &json!(code)));
    }
}
