//! What stands in for the server when an app is tested natively: one thread, config and logs of the test, and a clock that jumps
//! to whoever wakes up next.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Uri};

use crate::Body;

thread_local! {
    static SURROUNDINGS: RefCell<Surroundings> = RefCell::default();
}

/// What an app sees of the world.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) logs: Vec<LogLine>,
    clock: Clock,
}

/// Something that an app has logged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// How important it is.
    pub level: log::Level,
    /// Where it comes from: the module, unless the app says something else.
    pub target: String,
    /// The text.
    pub message: String,
}

impl Surroundings {
    /// Puts these in place of the thread's and gives those back.
    pub(crate) fn exchange(self) -> Self {
        SURROUNDINGS.replace(self)
    }
}

pub(crate) fn config_get(key: &str) -> Result<Option<String>, String> {
    Ok(SURROUNDINGS.with_borrow(|around| around.config.get(key).cloned()))
}

pub(crate) fn config_all() -> Result<Vec<(String, String)>, String> {
    Ok(SURROUNDINGS.with_borrow(|around| {
        around.config.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }))
}

pub(crate) fn log(level: log::Level, target: &str, message: &str) {
    // The test runner shows it when the test fails.
    println!("{level} {target}: {message}");
    let line = LogLine { level, target: target.to_owned(), message: message.to_owned() };
    SURROUNDINGS.with_borrow_mut(|around| around.logs.push(line));
}

/// Time passes only when everybody waits for it.
#[derive(Debug, Default)]
struct Clock {
    now: Duration,
    sleepers: Vec<(Duration, Waker)>,
}

pub(crate) async fn sleep(duration: Duration) {
    let until = SURROUNDINGS.with_borrow(|around| around.clock.now.saturating_add(duration));
    poll_fn(|cx| {
        SURROUNDINGS.with_borrow_mut(|around| {
            if around.clock.now >= until {
                return Poll::Ready(());
            }
            around.clock.sleepers.push((until, cx.waker().clone()));
            Poll::Pending
        })
    })
    .await;
}

/// Lets the clock jump to the first who wakes up, and wakes all who are due.
fn pass_time() -> bool {
    let due = SURROUNDINGS.with_borrow_mut(|around| {
        let clock = &mut around.clock;
        let Some(next) = clock.sleepers.iter().map(|(until, _)| *until).min() else { return Vec::new() };
        clock.now = clock.now.max(next);
        let now = clock.now;
        let (due, later) = clock.sleepers.drain(..).partition(|(until, _)| *until <= now);
        clock.sleepers = later;
        due
    });
    for (_, waker) in &due {
        waker.wake_by_ref();
    }
    !due.is_empty()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    /// What wakes a future from another thread may take this long; nothing of this crate does.
    const SILENCE: Duration = Duration::from_secs(10);

    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        if !pass_time() {
            thread::park_timeout(SILENCE);
        }
    }
}

pub(crate) struct Request {
    pub(crate) parts: Parts,
    pub(crate) body: Option<Body>,
}

impl Request {
    pub(crate) fn method(&self) -> Result<Method, String> {
        Ok(self.parts.method.clone())
    }

    pub(crate) fn target(&self) -> String {
        self.parts.uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned()
    }

    pub(crate) fn uri(&self, target: &str) -> Uri {
        super::uri(self.parts.uri.clone().into_parts(), target)
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        self.parts.headers.clone()
    }

    pub(crate) fn take_body(&mut self) -> Option<Body> {
        self.body.take()
    }
}
