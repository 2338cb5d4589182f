//! Seeing the moment at which a node begins to serve another release.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;

use crate::connection::Connection;

const SERVING_TIMEOUT: Duration = Duration::from_secs(60);
/// Fine enough for what is promised, and far too little load to hold up anybody.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Asks over one connection that is kept until the answer carries the mark; gives back how long that took since
/// `started`. Any other answer than 200 is an error.
pub async fn until_served(
    client: &mut Connection,
    path: &str,
    mark: &str,
    started: Instant,
) -> Result<Duration> {
    while started.elapsed() < SERVING_TIMEOUT {
        let answer = client.get(path).await?;
        if answer.status != 200 {
            bail!("status {} while the release changed", answer.status);
        }
        if text(answer.body).contains(mark) {
            return Ok(started.elapsed());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    bail!("the new release did not serve within {} s", SERVING_TIMEOUT.as_secs())
}

pub fn text(body: Bytes) -> String {
    String::from_utf8_lossy(&body).into_owned()
}

pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
