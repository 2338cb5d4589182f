//! What was asked of a cluster's services, as they count it themselves.

use std::time::{Duration, Instant};

use crate::cluster::Services;

/// Counters that only grow, at one moment.
#[derive(Debug, Clone, Copy)]
struct Counters {
    statements: u64,
    database_bytes: u64,
    redis_commands: u64,
    announcements: u64,
    at: Instant,
}

/// What was asked within a time.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub statements: f64,
    /// What the database answered, in KiB.
    pub database_kib: f64,
    pub redis_commands: f64,
    /// Those of the commands that say something to all nodes.
    pub announcements: f64,
    pub within: Duration,
}

/// Counts from now on.
#[derive(Debug)]
pub struct Counting {
    since: Counters,
}

impl Counting {
    pub async fn start(services: &Services) -> Self {
        Self { since: Counters::read(services).await }
    }

    /// What was asked since the start.
    pub async fn end(self, services: &Services) -> Asked {
        let now = Counters::read(services).await;
        let grown = |of: fn(&Counters) -> u64| of(&now).saturating_sub(of(&self.since)) as f64;
        Asked {
            statements: grown(|counters| counters.statements),
            database_kib: grown(|counters| counters.database_bytes) / 1_024.0,
            redis_commands: grown(|counters| counters.redis_commands),
            announcements: grown(|counters| counters.announcements),
            within: now.at - self.since.at,
        }
    }
}

impl Asked {
    /// What is asked within a time in which nobody but us does anything.
    pub async fn within(services: &Services, time: Duration) -> Self {
        let counting = Counting::start(services).await;
        tokio::time::sleep(time).await;
        counting.end(services).await
    }

    pub fn a_second(&self, of: fn(&Self) -> f64) -> f64 {
        of(self) / self.within.as_secs_f64().max(f64::EPSILON)
    }

    /// The same without what would have been asked anyway.
    pub fn beyond(self, idle: &Self) -> Self {
        let share = self.within.as_secs_f64() / idle.within.as_secs_f64().max(f64::EPSILON);
        let beyond = |of: fn(&Self) -> f64| (of(&self) - of(idle) * share).max(0.0);
        Self {
            statements: beyond(|asked| asked.statements),
            database_kib: beyond(|asked| asked.database_kib),
            redis_commands: beyond(|asked| asked.redis_commands),
            announcements: beyond(|asked| asked.announcements),
            within: self.within,
        }
    }
}

impl Counters {
    async fn read(services: &Services) -> Self {
        // What matters most comes last, nearest to the time that is noted.
        let announcements = services.redis.command(&["INFO", "commandstats"]).await;
        let announcements = calls(&announcements, "publish");
        let redis_commands = services.redis.commands().await;
        let database_bytes = services.mariadb.status("Bytes_sent").await;
        let statements = services.mariadb.statements().await;
        Self { statements, database_bytes, redis_commands, announcements, at: Instant::now() }
    }
}

/// How often a command was called, from Redis' `INFO commandstats`; a command that never was is not in there.
fn calls(statistics: &str, command: &str) -> u64 {
    let prefix = format!("cmdstat_{command}:calls=");
    let line = statistics.lines().find_map(|line| line.strip_prefix(&prefix));
    line.and_then(|rest| rest.split(',').next()).and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_anyway_is_left_out() {
        let asked = |statements, seconds| Asked {
            statements,
            database_kib: 0.0,
            redis_commands: 0.0,
            announcements: 0.0,
            within: Duration::from_secs(seconds),
        };
        let busy = asked(110.0, 20).beyond(&asked(5.0, 10));
        assert_eq!((busy.statements, busy.within.as_secs()), (100.0, 20));
        assert_eq!(asked(1.0, 10).beyond(&asked(5.0, 10)).statements, 0.0);
        assert_eq!(asked(50.0, 20).a_second(|asked| asked.statements), 2.5);
    }

    #[test]
    fn the_calls_of_one_command_are_found() {
        let statistics = "# Commandstats\r\ncmdstat_publish:calls=12,usec=3,usec_per_call=0.25\r\ncmdstat_ping:calls=5,usec=1";
        assert_eq!((calls(statistics, "publish"), calls(statistics, "ping")), (12, 5));
        assert_eq!(calls(statistics, "get"), 0);
    }
}
