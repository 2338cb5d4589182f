//! Contenders take turns under the same load, so that a machine that drifts drifts for all of them.

use std::time::Duration;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::options::Bench;
use crate::process::Server;
use crate::wrk::Target;

/// One contender's turn. What else the host computes slows a machine for seconds at a time: in short turns, all
/// contenders meet it alike, and there are enough of them for a median that says something. wrk takes no less.
const TURN: Duration = Duration::from_secs(1);
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

/// What one contender reached: medians over all turns.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    pub name: &'static str,
    pub server_command: String,
    pub load_command: String,
    pub connections: u32,
    pub requests_per_second: f64,
    pub requests_per_second_by_turn: Vec<f64>,
    pub p99_ms: f64,
    /// Processor time of the server per request.
    pub cpu_us: f64,
    /// All turns together.
    pub errors: u64,
}

pub async fn run(bench: &Bench, contenders: &[Contender<'_>]) -> Result<Vec<Standing>> {
    for contender in contenders {
        let warm = contender.target.run(WARM_UP).await?;
        if warm.requests == 0 || warm.errors == warm.requests {
            bail!("{} answers nothing but errors on {}", contender.name, contender.target.url);
        }
    }
    let mut outcomes: Vec<Vec<Turn>> = contenders.iter().map(|_| Vec::new()).collect();
    for number in 1..=turns(bench) {
        for (contender, outcomes) in contenders.iter().zip(&mut outcomes) {
            tokio::time::sleep(PAUSE).await;
            let before = contender.server.cpu();
            let outcome = contender.target.run(TURN).await?;
            let cpu = contender.server.cpu().saturating_sub(before);
            eprintln!(
                "    turn {number:2}  {:32} {:4} connections {:>9.0} requests/s  p99 {:>8.2} ms",
                contender.name, contender.target.connections, outcome.requests_per_second, outcome.p99_ms
            );
            outcomes.push(Turn {
                requests_per_second: outcome.requests_per_second,
                p99_ms: outcome.p99_ms,
                cpu_us: cpu.as_secs_f64() * 1e6 / outcome.requests.max(1) as f64,
                errors: outcome.errors,
            });
        }
    }
    let standings = contenders.iter().zip(&outcomes);
    Ok(standings.map(|(contender, turns)| standing(bench, contender, turns)).collect())
}

/// As many as the time of all rounds holds; odd, so that the median is a measured value.
fn turns(bench: &Bench) -> usize {
    (bench.rounds() * bench.duration().as_secs() as usize / TURN.as_secs() as usize) | 1
}

#[derive(Debug)]
struct Turn {
    requests_per_second: f64,
    p99_ms: f64,
    cpu_us: f64,
    errors: u64,
}

fn standing(bench: &Bench, contender: &Contender<'_>, turns: &[Turn]) -> Standing {
    let root = format!("{}/", bench.root.display());
    let all = |pick: fn(&Turn) -> f64| turns.iter().map(pick).collect::<Vec<f64>>();
    Standing {
        name: contender.name,
        server_command: contender.server.command.clone(),
        load_command: contender.target.command(TURN).replace(&root, ""),
        connections: contender.target.connections,
        requests_per_second: median(&all(|turn| turn.requests_per_second)),
        requests_per_second_by_turn: all(|turn| turn.requests_per_second),
        p99_ms: median(&all(|turn| turn.p99_ms)),
        cpu_us: median(&all(|turn| turn.cpu_us)),
        errors: turns.iter().map(|turn| turn.errors).sum(),
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
