//! Whether Redis can be used right now, as operators see it: one state, one log line for each change of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use metrics::gauge;

use super::Fault;

/// Whether Redis can be used right now, and since when. An outage degrades a node and never makes it unready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisHealth {
    /// Why it cannot be used and what to do, as a sentence without secrets; none while it can be used.
    pub fault: Option<String>,
    /// When it became so; before the first connection, when the node began to try.
    pub since: Instant,
}

impl RedisHealth {
    pub fn is_up(&self) -> bool {
        self.fault.is_none()
    }
}

/// The sum of its parts: Redis can be used when all of them work. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    address: Arc<str>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// One for each part: what it suffers from.
    faults: Vec<Option<Fault>>,
    is_up: bool,
    since: Instant,
    /// Whether the log tells of the state; it does not tell of the moment before the first attempt.
    is_logged: bool,
}

/// One part's own state, a connection for example.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    health: Health,
    index: usize,
}

impl Health {
    /// `address` is for people: without secrets.
    pub fn new(address: &str) -> Self {
        gauge!("typecase_redis_up").set(0);
        let state = State { faults: Vec::new(), is_up: false, since: Instant::now(), is_logged: false };
        Self { address: address.into(), state: Arc::new(Mutex::new(state)) }
    }

    /// A part that has yet to show that it works.
    pub fn part(&self) -> Part {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.faults.push(Some(Fault::Untried));
        Part { health: self.clone(), index: state.faults.len() - 1 }
    }

    pub fn read(&self) -> RedisHealth {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = state.first_fault().map(|fault| self.sentence(fault));
        RedisHealth { fault, since: state.since }
    }

    fn sentence(&self, fault: &Fault) -> String {
        format!("Redis at {} cannot be used: {fault}", self.address)
    }

    fn set(&self, index: usize, fault: Option<Fault>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.faults[index] = fault;
        let is_up = state.first_fault().is_none();
        if is_up == state.is_up && (state.is_logged || is_up) {
            return;
        }
        let lasted = state.since.elapsed().as_millis() as u64;
        match state.first_fault() {
            Some(fault) if *fault != Fault::Untried => {
                tracing::warn!("{}; announcements are late until it is back", self.sentence(fault))
            }
            Some(_) => return,
            None => tracing::info!(redis.address = %self.address, duration_ms = lasted, "Redis can be used"),
        }
        gauge!("typecase_redis_up").set(if is_up { 1 } else { 0 });
        // A first failure only confirms what was so from the start.
        if is_up != state.is_up {
            state.since = Instant::now();
        }
        (state.is_up, state.is_logged) = (is_up, true);
    }
}

impl State {
    /// What to tell people: a part that was not tried yet has nothing to say while another one failed.
    fn first_fault(&self) -> Option<&Fault> {
        let known = self.faults.iter().flatten().find(|fault| **fault != Fault::Untried);
        known.or_else(|| self.faults.iter().flatten().next())
    }
}

impl Part {
    pub fn up(&self) {
        self.health.set(self.index, None);
    }

    pub fn down(&self, fault: Fault) {
        tracing::debug!(redis.address = %self.health.address, "Redis: {fault}");
        self.health.set(self.index, Some(fault));
    }
}
