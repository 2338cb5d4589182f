//! One run of wrk and what it says.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// Connecting, warming up and writing the summary, on top of the run itself.
const SLACK: Duration = Duration::from_secs(15);

#[derive(Debug, Clone)]
pub struct Target {
    pub url: String,
    pub connections: u32,
    /// A script of wrk with its argument.
    pub script: Option<(PathBuf, String)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcome {
    pub requests: u64,
    pub requests_per_second: f64,
    pub p99_ms: f64,
    /// Answers outside 2xx and 3xx, and connections that failed.
    pub errors: u64,
}

impl Target {
    fn arguments(&self, duration: Duration) -> Vec<String> {
        let mut arguments = vec![
            "-t1".to_owned(),
            format!("-c{}", self.connections),
            format!("-d{}s", duration.as_secs()),
            "--latency".to_owned(),
        ];
        if let Some((script, _)) = &self.script {
            arguments.extend(["-s".to_owned(), script.display().to_string()]);
        }
        arguments.push(self.url.clone());
        if let Some((_, argument)) = &self.script {
            arguments.extend(["--".to_owned(), argument.clone()]);
        }
        arguments
    }

    /// What one would type.
    pub fn command(&self, duration: Duration) -> String {
        format!("wrk {}", self.arguments(duration).join(" "))
    }

    pub async fn run(&self, duration: Duration) -> Result<Outcome> {
        let running = Command::new("wrk")
            .args(self.arguments(duration))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(duration + SLACK, running)
            .await
            .context("wrk did not end in time")?
            .context("could not start wrk: install it (Debian: apt-get install wrk)")?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("wrk failed on {}: {}", self.url, String::from_utf8_lossy(&output.stderr));
        }
        parse(&text).with_context(|| format!("wrk's output is not understood:\n{text}"))
    }
}

fn parse(text: &str) -> Option<Outcome> {
    let mut outcome = Outcome::default();
    let mut complete = false;
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("Requests/sec:") {
            outcome.requests_per_second = rest.trim().parse().ok()?;
            complete = true;
        } else if let Some(rest) = line.strip_prefix("99%") {
            outcome.p99_ms = milliseconds(rest.trim())?;
        } else if let Some(rest) = line.strip_prefix("Non-2xx or 3xx responses:") {
            outcome.errors += rest.trim().parse::<u64>().ok()?;
        } else if let Some(rest) = line.strip_prefix("Socket errors:") {
            let counts = rest.split(',').filter_map(|part| part.split_whitespace().last());
            outcome.errors += counts.filter_map(|count| count.parse::<u64>().ok()).sum::<u64>();
        } else if let Some((requests, _)) = line.split_once(" requests in ") {
            outcome.requests = requests.parse().ok()?;
        }
    }
    complete.then_some(outcome)
}

fn milliseconds(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let number: f64 = digits.parse().ok()?;
    Some(match &text[digits.len()..] {
        "us" => number / 1_000.0,
        "ms" => number,
        "s" => number * 1_000.0,
        "m" => number * 60_000.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrks_summary_is_read() {
        let text = "Running 5s test @ http://127.0.0.1:1/\n  1 threads and 32 connections\n  Latency Distribution\n\
                    \x20    50%    1.10ms\n     99%  850.00us\n  12000 requests in 5.00s, 1.50MB read\n\
                    \x20 Socket errors: connect 1, read 2, write 0, timeout 3\n  Non-2xx or 3xx responses: 4\n\
                    Requests/sec:   2400.50\nTransfer/sec:    300.00KB\n";
        let expected = Outcome { requests: 12_000, requests_per_second: 2_400.5, p99_ms: 0.85, errors: 10 };
        assert_eq!(parse(text), Some(expected));
    }

    #[test]
    fn a_broken_off_summary_is_refused() {
        assert_eq!(parse("Running 5s test"), None);
    }
}
