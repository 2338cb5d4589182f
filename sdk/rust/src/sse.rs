//! Server-sent events: a stream of messages that browsers read with `EventSource` (HTML standard, section 9.2).
//!
//! ```
//! use std::time::Duration;
//! use typecase_sdk::sse::{Event, Sse};
//! use typecase_sdk::{App, time};
//!
//! async fn ticks() -> Sse {
//!     Sse::new(async |mut events| {
//!         for n in 1..=3 {
//!             events.send(Event::data(format!("tick {n}")).id(n)).await?;
//!             time::sleep(Duration::from_secs(1)).await;
//!         }
//!         Ok(())
//!     })
//! }
//!
//! let app = App::new().get("/ticks", ticks);
//! # let answer = typecase_sdk::testing::TestApp::new(app).get("/ticks");
//! # assert_eq!(answer.headers()["content-type"], "text/event-stream");
//! # assert_eq!(answer.text(), "id: 1\ndata: tick 1\n\nid: 2\ndata: tick 2\n\nid: 3\ndata: tick 3\n\n");
//! ```
//!
//! A browser connects again when the stream ends, and sends the last id as the header `last-event-id`. To have it stop, answer
//! 204. The manifest's `timeout_ms` is for the time until an answer begins; a stream may last longer.

use std::fmt::{self, Display, Write as _};
use std::future::Future;
use std::time::Duration;

use http::HeaderValue;
use http::header::CACHE_CONTROL;
use serde::Serialize;

use crate::{Body, BodyWriter, Error, IntoResponse, Response};

/// An answer that is a stream of events, written by an async function.
#[derive(Debug)]
pub struct Sse(Body);

impl Sse {
    /// The function runs while the client listens. When the client leaves, it is ended where it waits; an error ends the stream
    /// and is logged.
    pub fn new<W, Fut>(write: W) -> Self
    where
        W: FnOnce(Events) -> Fut,
        Fut: Future<Output = Result<(), Error>> + 'static,
    {
        Self(Body::from_writer(|writer| write(Events(writer))))
    }
}

impl IntoResponse for Sse {
    fn into_response(self) -> Result<Response, Error> {
        let mut response = Response::new(self.0.with_kind("text/event-stream"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Ok(response)
    }
}

/// Where events are sent.
#[derive(Debug)]
pub struct Events(BodyWriter);

impl Events {
    /// Sends an event and returns when it is on its way.
    pub async fn send(&mut self, event: Event) -> Result<(), Error> {
        self.0.write(event.text + "\n").await
    }

    /// Sends a comment, which browsers ignore: a sign of life that keeps proxies from closing a quiet connection. Every 15 s is
    /// usual.
    pub async fn keep_alive(&mut self) -> Result<(), Error> {
        self.0.write(":\n\n").await
    }
}

/// One event. Line ends in an id or a name would end them early and are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    text: String,
}

impl Event {
    /// An event with this text, of as many lines as it likes.
    pub fn data(text: impl Display) -> Self {
        let mut event = Self::default();
        let text = text.to_string().replace("\r\n", "\n").replace('\r', "\n");
        for line in text.split('\n') {
            event.field("data", line);
        }
        event
    }

    /// An event with this value as JSON.
    pub fn json(value: &impl Serialize) -> Result<Self, Error> {
        Ok(Self::data(serde_json::to_string(value)?))
    }

    /// The id that a browser sends back as `last-event-id` when it connects again.
    #[must_use]
    pub fn id(self, id: impl Display) -> Self {
        self.preceded_by("id", &id)
    }

    /// The kind of event, for which a page listens with `addEventListener`; without it, `message`.
    #[must_use]
    pub fn named(self, name: impl Display) -> Self {
        self.preceded_by("event", &name)
    }

    /// How long the browser waits before it connects again.
    #[must_use]
    pub fn retry(self, after: Duration) -> Self {
        self.preceded_by("retry", &after.as_millis())
    }

    fn preceded_by(self, name: &str, value: &dyn Display) -> Self {
        let mut event = Self::default();
        // NUL in an id would make browsers ignore it.
        let value: String = value.to_string().chars().filter(|c| !matches!(c, '\n' | '\r' | '\0')).collect();
        event.field(name, &value);
        event.text.push_str(&self.text);
        event
    }

    fn field(&mut self, name: &str, value: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{name}: {value}");
    }
}

impl fmt::Display for Event {
    /// As it is sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)
    }
}
