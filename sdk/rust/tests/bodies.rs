//! Bodies: in memory, as streams, within limits.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::Frame;
use serde::Deserialize;
use serde_json::{Value, json};
use typecase_sdk::sse::{Event, Sse};
use typecase_sdk::testing::{TestApp, TestResponse};
use typecase_sdk::{App, Body, BodyError, Error, Json, Result, time};

/// A body in pieces, of which nothing says how long it is.
struct Pieces(Vec<Result<Frame<Bytes>, BodyError>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready((!self.0.is_empty()).then(|| self.0.remove(0)))
    }
}

fn pieces(pieces: &[&'static str]) -> Body {
    let frames = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))).collect();
    Body::from_http_body(Pieces(frames))
}

fn post(app: &TestApp, path: &str, content_type: &str, body: impl Into<Body>) -> TestResponse {
    app.call(Request::post(path).header("content-type", content_type).body(body.into()).unwrap())
}

fn code(answer: &TestResponse) -> (u16, String) {
    (answer.status().as_u16(), answer.json::<Value>()["code"].as_str().unwrap_or_default().to_owned())
}

#[derive(Debug, Deserialize)]
struct Note {
    text: String,
}

fn reader() -> TestApp {
    TestApp::new(
        App::new()
            .body_bytes_max(20)
            .post("/json", async |Json(note): Json<Note>| note.text)
            .post("/text", async |text: String| text)
            .post("/bytes", async |bytes: Bytes| bytes.len().to_string())
            .post("/own", async |body: Body| Ok::<_, Error>(body.text(4).await?)),
    )
}

#[test]
fn bodies_are_read_within_their_limit_whatever_their_pieces() {
    let app = reader();
    for (path, body, answer) in [
        ("/text", pieces(&["abcde", "", "fghijklmno", "pqrst"]), "abcdefghijklmnopqrst"),
        ("/text", Body::empty(), ""),
        ("/bytes", "12345678901234567890".into(), "20"),
        ("/json", pieces(&["{\"tex", "t\":\"x\"}"]), "x"),
        ("/own", pieces(&["ab", "cd"]), "abcd"),
    ] {
        assert_eq!(post(&app, path, "application/json", body).text(), answer, "{path}");
    }
    for (path, body) in [
        ("/text", pieces(&["abcde", "fghijklmno", "pqrst", "u"])),
        ("/bytes", "123456789012345678901".into()),
        ("/json", pieces(&["{\"text\":\"", "xxxxxxxxxxx\"}"])),
        ("/own", pieces(&["ab", "cde"])),
    ] {
        assert_eq!(
            code(&post(&app, path, "application/json", body)),
            (413, "body-too-large".to_owned()),
            "{path}"
        );
    }
    assert_eq!(code(&app.post("/text", b"\xff".as_slice())), (400, "body-not-utf8".to_owned()));
    let broken =
        Pieces(vec![Ok(Frame::data(Bytes::from("a"))), Err(BodyError::Incomplete("cut".to_owned()))]);
    let answer = app.post("/text", Body::from_http_body(broken));
    assert_eq!(code(&answer), (400, "body-incomplete".to_owned()));
}

#[test]
fn json_is_judged_by_type_syntax_and_content() {
    let app = reader();
    for (content_type, body, expected) in [
        ("application/json; charset=utf-8", r#"{"text":"a"}"#, None),
        ("application/merge-patch+JSON", r#"{"text":"a"}"#, None),
        ("text/plain", r#"{"text":"a"}"#, Some((415, "not-json"))),
        ("application/json", r#"{"text":"a"#, Some((400, "json-syntax"))),
        ("application/json", "", Some((400, "json-syntax"))),
        ("application/json", r#"{"text":7}"#, Some((422, "json-invalid"))),
        ("application/json", r#"{}"#, Some((422, "json-invalid"))),
    ] {
        let answer = post(&app, "/json", content_type, body);
        match expected {
            None => assert_eq!(answer.text(), "a"),
            Some((status, name)) => {
                assert_eq!(code(&answer), (status, name.to_owned()), "{content_type} {body}")
            }
        }
    }
    let answer = post(&app, "/json", "application/json", "{\n\"text\": x}");
    let detail = answer.json::<Value>()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("line 2 column 9"), "{detail}");
}

#[test]
fn writers_are_held_up_by_readers_and_end_with_them() {
    let written = Rc::new(RefCell::new(Vec::new()));
    let log = written.clone();
    // A closure that keeps something gives out copies of it.
    let app = App::new().get("/", move || {
        let log = log.clone();
        let body = Body::from_writer(async move |mut body| {
            for n in 0..1_000 {
                log.borrow_mut().push(n);
                body.write(vec![b'x'; 10]).await?;
            }
            Ok(())
        });
        async { body }
    });
    let app = TestApp::new(app);
    let mut body = app.stream(Request::get("/").body(()).unwrap()).into_body();
    assert_eq!(app.block_on(body.chunk()).unwrap().unwrap().len(), 10);
    assert_eq!(app.block_on(body.chunk()).unwrap().unwrap().len(), 10);
    drop(body);
    assert_eq!(*written.borrow(), [0, 1], "nothing is written ahead");
}

#[test]
fn a_writer_that_fails_breaks_the_body_off_and_is_logged() {
    let app = App::new().get("/", async || {
        Body::from_writer(async |mut body| {
            body.write("begun").await?;
            Err(Error::internal("the source is gone"))
        })
    });
    let app = TestApp::new(app);
    let mut body = app.stream(Request::get("/").body(()).unwrap()).into_body();
    assert_eq!(app.block_on(body.chunk()).unwrap().unwrap(), "begun");
    assert!(matches!(app.block_on(body.chunk()), Err(BodyError::Incomplete(_))));
    assert!(app.logs()[0].message.contains("the source is gone"));
}

#[test]
fn trailers_follow_the_last_piece() {
    let app = App::new().get("/", async || {
        Body::from_writer(async |mut body| {
            body.write("content").await?;
            let sum = [("x-sum".parse().unwrap(), "42".parse().unwrap())];
            body.write_trailers(HeaderMap::from_iter(sum)).await
        })
    });
    let answer = TestApp::new(app).get("/");
    assert_eq!((answer.text(), &answer.trailers()["x-sum"]), ("content", &"42".parse().unwrap()));
}

#[test]
fn events_cannot_be_forged_by_their_content() {
    let event =
        Event::data("two\nlines\r\nand\rmore").id("7\n8").named("a\r\ndata: b").retry(Duration::from_secs(3));
    let expected = "retry: 3000\nevent: adata: b\nid: 78\ndata: two\ndata: lines\ndata: and\ndata: more\n\n";
    assert_eq!(event.to_string(), expected);
    assert_eq!(Event::json(&json!({ "n": 1 })).unwrap().to_string(), "data: {\"n\":1}\n\n");
}

#[test]
fn waiting_takes_no_time_in_tests() {
    let app = App::new().get("/", async || {
        Sse::new(async |mut events| {
            for n in 0..24 {
                time::sleep(Duration::from_secs(3_600)).await;
                if n % 6 == 0 {
                    events.keep_alive().await?;
                }
                events.send(Event::data(n)).await?;
            }
            Ok(())
        })
    });
    let answer = TestApp::new(app).get("/");
    assert_eq!((answer.text().matches("data: ").count(), answer.text().matches(":\n\n").count()), (24, 4));
    assert_eq!(answer.headers()["cache-control"], "no-cache");
}
