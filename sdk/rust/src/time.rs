//! Waiting.
//!
//! While an app waits it costs no processor time, but a place among those that the server runs at once. The
//! time on the clock is `std::time::SystemTime`, durations are measured with `std::time::Instant`.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::platform;

/// Waits. In tests on the author's machine no time passes: the clock of [`testing`](crate::testing) jumps to the next one who
/// wakes up.
pub async fn sleep(duration: Duration) {
    platform::sleep(duration).await;
}

/// The result of a future, or `None` when it takes longer.
///
/// ```
/// use std::time::Duration;
/// use typecase_sdk::{App, Error, time};
///
/// async fn slow() -> Result<&'static str, Error> {
///     let answer = async {
///         time::sleep(Duration::from_secs(5)).await;
///         "done\n"
///     };
///     let late = || Error::new(http::StatusCode::GATEWAY_TIMEOUT, "too-slow", "It took more than 2 s.");
///     time::timeout(Duration::from_secs(2), answer).await.ok_or_else(late)
/// }
/// # let app = typecase_sdk::testing::TestApp::new(App::new().get("/", slow));
/// # assert_eq!(app.get("/").status(), 504);
/// ```
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = pin!(platform::sleep(duration));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}
