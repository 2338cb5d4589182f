//! Contenders take turns under the same load, so that a machine that drifts drifts for all of them.

use std::time::Duration;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::options::Bench;
use crate::process::Server;
use crate::wrk::Target;

const WARM_UP: Duration = Duration::from_secs(1);
/// Lets sockets close and freed memory return before the next one's turn.
const PAUSE: Duration = Duration::from_millis(300);

/// Somebody who answers requests.
#[derive(Debug)]
pub struct Contender<'a> {
    pub name: &'static str,
    pub server: &'a Server,
    pub target: Target,
}

/// What one contender reached: medians over all rounds.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    pub name: &'static str,
    pub server_command: String,
    pub load_command: String,
    pub connections: u32,
    pub requests_per_second: f64,
    pub requests_per_second_by_round: Vec<f64>,
    pub p99_ms: f64,
    /// Processor time of the server per request.
    pub cpu_us: f64,
    /// All rounds together.
    pub errors: u64,
}

pub async fn run(bench: &Bench, contenders: &[Contender<'_>]) -> Result<Vec<Standing>> {
    let duration = bench.duration();
    for contender in contenders {
        let warm = contender.target.run(WARM_UP).await?;
        if warm.requests == 0 || warm.errors == warm.requests {
            bail!("{} answers nothing but errors on {}", contender.name, contender.target.url);
        }
    }
    let mut rounds: Vec<Vec<Round>> = contenders.iter().map(|_| Vec::new()).collect();
    for number in 1..=bench.rounds() {
        for (contender, rounds) in contenders.iter().zip(&mut rounds) {
            tokio::time::sleep(PAUSE).await;
            let before = contender.server.cpu();
            let outcome = contender.target.run(duration).await?;
            let cpu = contender.server.cpu().saturating_sub(before);
            eprintln!(
                "    round {number}  {:32} {:4} connections {:>9.0} requests/s  p99 {:>8.2} ms",
                contender.name, contender.target.connections, outcome.requests_per_second, outcome.p99_ms
            );
            rounds.push(Round {
                requests_per_second: outcome.requests_per_second,
                p99_ms: outcome.p99_ms,
                cpu_us: cpu.as_secs_f64() * 1e6 / outcome.requests.max(1) as f64,
                errors: outcome.errors,
            });
        }
    }
    let standings = contenders.iter().zip(&rounds);
    Ok(standings.map(|(contender, rounds)| standing(bench, contender, rounds)).collect())
}

#[derive(Debug)]
struct Round {
    requests_per_second: f64,
    p99_ms: f64,
    cpu_us: f64,
    errors: u64,
}

fn standing(bench: &Bench, contender: &Contender<'_>, rounds: &[Round]) -> Standing {
    let root = format!("{}/", bench.root.display());
    let all = |pick: fn(&Round) -> f64| rounds.iter().map(pick).collect::<Vec<f64>>();
    Standing {
        name: contender.name,
        server_command: contender.server.command.clone(),
        load_command: contender.target.command(bench.duration()).replace(&root, ""),
        connections: contender.target.connections,
        requests_per_second: median(&all(|round| round.requests_per_second)),
        requests_per_second_by_round: all(|round| round.requests_per_second),
        p99_ms: median(&all(|round| round.p99_ms)),
        cpu_us: median(&all(|round| round.cpu_us)),
        errors: rounds.iter().map(|round| round.errors).sum(),
    }
}

/// The middle value; of an even number of values the mean of the two in the middle; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_does_not_follow_an_outlier() {
        assert_eq!(median(&[5.0, 1.0, 1_000.0]), 5.0);
        assert_eq!(median(&[4.0, 2.0]), 3.0);
        assert_eq!(median(&[]), 0.0);
    }
}
