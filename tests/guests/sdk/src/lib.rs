//! Everything that the SDK offers, once over WASI 0.2 and once, with the same code, over WASI 0.3.

use std::cell::Cell;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use typecase_sdk::http::{HeaderMap, HeaderName, HeaderValue, Request};
use typecase_sdk::sse::{Event, Sse};
use typecase_sdk::{App, Body, Error, IntoResponse, Json, Path, Query, Result, config, log, time};

typecase_sdk::serve!(app);

fn app() -> App {
    App::new()
        .log_level(log::LevelFilter::Debug)
        .get("/", async || "SDK\n")
        .post("/request/{id}", request)
        .post("/json", async |Json(numbers): Json<Vec<i64>>| Json(numbers.iter().sum::<i64>()))
        .post("/echo", async |body: Body| body)
        .post("/count", count)
        .post("/upper", upper)
        .get("/events", events)
        .get("/whole", async |Query(size): Query<Size>| "x".repeat(size.bytes))
        .get("/trailers", trailers)
        .get("/late", late)
        .get("/together", together)
        .get("/config", async || -> Result<String> { config::require("greeting") })
        .get("/log", logs)
        .get("/fail", async || -> Result<String> { Ok("many".parse::<u8>()?.to_string()) })
        .get("/panic", async |Query(size): Query<Size>| {
            [b'x'; 4].get(size.bytes).copied().unwrap().to_string()
        })
        .get("/break", broken)
        .get("/visits", visits)
}

#[derive(Deserialize)]
struct Size {
    bytes: usize,
}

#[derive(Serialize)]
struct Seen {
    method: String,
    uri: String,
    id: String,
    agent: String,
    prefix: String,
    body: String,
}

async fn request(Path(id): Path<String>, request: Request<Body>) -> Result<Json<Seen>> {
    let (parts, body) = request.into_parts();
    let header = |name: &str| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    Ok(Json(Seen {
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        id,
        agent: header("user-agent"),
        prefix: header("x-forwarded-prefix"),
        body: body.text(100).await?,
    }))
}

async fn count(mut body: Body) -> Result<String> {
    let (mut bytes, mut last) = (0, 0);
    while let Some(frame) = body.frame().await? {
        match frame.data_ref() {
            Some(data) => bytes += data.len(),
            None => last = frame.trailers_ref().map_or(0, HeaderMap::len),
        }
    }
    Ok(format!("{bytes} bytes, {last} trailers\n"))
}

/// Reads and writes at the same time.
async fn upper(mut body: Body) -> Body {
    Body::from_writer(async move |mut writer| {
        while let Some(chunk) = body.chunk().await? {
            writer.write(chunk.to_ascii_uppercase()).await?;
        }
        Ok(())
    })
}

async fn events() -> Sse {
    Sse::new(async |mut events| {
        for n in 1..=3 {
            events.send(Event::data(n).id(n)).await?;
            time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    })
}

async fn trailers() -> Result<impl IntoResponse> {
    let body = Body::from_writer(async |mut body| {
        body.write("content\n").await?;
        let trailers = [(HeaderName::from_static("x-sum"), HeaderValue::from_static("42"))];
        body.write_trailers(HeaderMap::from_iter(trailers)).await
    });
    Ok(([("trailer", "x-sum")], body))
}

async fn late() -> Result<&'static str> {
    let answer = async {
        time::sleep(Duration::from_secs(3_600)).await;
        "after an hour\n"
    };
    Ok(time::timeout(Duration::from_millis(20), answer).await.unwrap_or("gave up\n"))
}

/// Two who wait at once: the first to be ready is not the first to wait.
async fn together() -> String {
    let order = Cell::new(String::new());
    let wait = async |name: &str, milliseconds| {
        time::sleep(Duration::from_millis(milliseconds)).await;
        order.set(order.take() + name);
    };
    let (mut slow, mut quick) = (Box::pin(wait("slow", 60)), Box::pin(wait("quick ", 10)));
    let (mut slow_ended, mut quick_ended) = (false, false);
    poll_fn(|cx| {
        slow_ended = slow_ended || slow.as_mut().poll(cx).is_ready();
        quick_ended = quick_ended || quick.as_mut().poll(cx).is_ready();
        if slow_ended && quick_ended { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    drop((slow, quick));
    order.take()
}

async fn logs() {
    log::trace!("below the level");
    log::debug!("a debug message");
    log::warn!(target: "stock", "only {} left", 3);
    println!("printed");
    eprintln!("complained");
}

async fn broken() -> Body {
    Body::from_writer(async |mut body| {
        body.write("begun").await?;
        Err(Error::internal("the source is gone"))
    })
}

static VISITS: AtomicU32 = AtomicU32::new(0);

async fn visits() -> String {
    (VISITS.fetch_add(1, Ordering::Relaxed) + 1).to_string()
}
