//! Load with a known fate for every request: latency, status and what went wrong.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::connection::Connection;

/// Enough to see what kind of failure it is.
const FAILURES_SHOWN: usize = 5;

/// One kind of client, any number of them.
#[derive(Debug, Clone)]
pub struct Clients {
    pub address: String,
    pub path: String,
    pub count: usize,
    /// Opens a connection for each request instead of keeping one.
    pub fresh_connections: bool,
    /// Time between the starts of two requests; none is as fast as the answers come.
    pub pace: Option<Duration>,
}

/// What a load saw.
#[derive(Debug, Default)]
pub struct Seen {
    latencies: Vec<Duration>,
    pub failed: usize,
    pub failures: Vec<String>,
}

impl Seen {
    pub fn requests(&self) -> usize {
        self.latencies.len() + self.failed
    }

    /// The latency that the given share of the answers stayed within; zero without answers.
    pub fn percentile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        self.latencies.get(index).copied().unwrap_or_default()
    }

    pub fn slowest(&self) -> Duration {
        self.percentile(1.0)
    }

    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.failures.truncate(FAILURES_SHOWN);
    }
}

/// Runs all the clients for the given time; each finishes the request it is in.
pub async fn run(clients: &[Clients], duration: Duration) -> Seen {
    let end = Instant::now() + duration;
    let mut tasks = JoinSet::new();
    for kind in clients {
        for number in 0..kind.count {
            tasks.spawn(client(kind.clone(), number, end));
        }
    }
    let mut seen = Seen::default();
    while let Some(finished) = tasks.join_next().await {
        match finished {
            Ok(its) => seen.add(its),
            Err(error) => seen.add(Seen { failed: 1, failures: vec![error.to_string()], ..Seen::default() }),
        }
    }
    seen.latencies.sort_unstable();
    seen
}

async fn client(kind: Clients, number: usize, end: Instant) -> Seen {
    let mut seen = Seen::default();
    let mut connection = Connection::new(&kind.address);
    let mut due = Instant::now();
    if let Some(pace) = kind.pace {
        // Clients that start together would come in bursts for ever.
        due += pace.mul_f64(number as f64 / kind.count as f64);
    }
    loop {
        if kind.pace.is_some() {
            tokio::time::sleep_until(due.into()).await;
        }
        // With a pace, a request that starts late because the one before was slow has waited already.
        let started = kind.pace.map_or_else(Instant::now, |_| due);
        if Instant::now() >= end {
            return seen;
        }
        match connection.get(&kind.path).await {
            Ok(answer) if answer.status == 200 => seen.latencies.push(started.elapsed()),
            Ok(answer) => seen.fail(format!("status {}", answer.status)),
            Err(error) => {
                seen.fail(format!("{error:#}"));
                // A server that refuses connections must not turn this into a busy loop.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        if kind.fresh_connections {
            connection.close();
        }
        if let Some(pace) = kind.pace {
            due += pace;
        }
    }
}

impl Seen {
    fn fail(&mut self, what: String) {
        self.failed += 1;
        if self.failures.len() < FAILURES_SHOWN {
            self.failures.push(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_taken_from_the_sorted_latencies() {
        let seen = Seen { latencies: (1..=100).map(Duration::from_millis).collect(), ..Seen::default() };
        assert_eq!(seen.percentile(0.99), Duration::from_millis(99));
        assert_eq!(seen.slowest(), Duration::from_millis(100));
        assert_eq!(Seen::default().percentile(0.99), Duration::ZERO);
    }
}
