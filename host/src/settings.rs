//! What holds on this node now: its own configuration, with the cluster's settings in place of what they mention.
//!
//! One immutable snapshot, swapped as a whole by `reconcile/settings.rs` and read at each use, so that a change
//! needs no restart and nobody sees half of it.

mod effective;
mod log_level;
#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;
use typecase_model::settings::Misfit;
use typecase_model::{Generation, Settings};

use crate::config::Config;

pub use effective::Effective;
pub use log_level::LogLevel;

/// The node's snapshot, and what it was made from.
pub struct LiveSettings {
    /// Every key as the node's configuration, or its default, has it.
    own: Settings,
    current: ArcSwap<Snapshot>,
    log_level: LogLevel,
    /// Tells those who cannot read at use that there is something to look at.
    changed: watch::Sender<()>,
    /// Held while a document is applied: two at once could leave the log at another level than the rest.
    applying: std::sync::Mutex<()>,
}

/// What holds now.
#[derive(Debug)]
pub struct Snapshot {
    /// None until the cluster's settings were read once.
    pub generation: Option<Generation>,
    /// The cluster's document.
    pub set: Settings,
    /// What of it this node leaves out.
    pub misfits: Vec<Misfit>,
    /// Every key that this version knows.
    pub values: Settings,
    pub effective: Effective,
}

impl LiveSettings {
    /// What the configuration says holds until the first document is applied.
    pub fn new(config: &Config, log_level: LogLevel) -> Self {
        let own = effective::of_config(config);
        let snapshot = Snapshot::of(&own, None, Settings::default());
        Self {
            own,
            current: ArcSwap::from_pointee(snapshot),
            log_level,
            changed: watch::Sender::default(),
            applying: std::sync::Mutex::default(),
        }
    }

    /// What the cluster's settings say, for the length of one use: keep it no longer.
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Makes a document hold on this node, whole or not at all. What of it does not fit here is left out.
    pub fn apply(&self, generation: Generation, set: Settings) -> Result<Vec<Misfit>, String> {
        let _applying = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = Snapshot::of(&self.own, Some(generation), set);
        let log_level = &snapshot.effective.log_level;
        // The only part that can fail comes first.
        if *log_level != self.current.load().effective.log_level {
            self.log_level.set(log_level)?;
        }
        let misfits = snapshot.misfits.clone();
        self.current.store(Arc::new(snapshot));
        self.changed.send_replace(());
        Ok(misfits)
    }

    /// Resolves after each document that was applied.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// What is wrong with a document that is about to be set, a sentence each: what this node would leave out,
    /// and what contradicts itself. Keys of a newer version are none of its business.
    pub fn problems(&self, set: &Settings) -> Vec<String> {
        let snapshot = Snapshot::of(&self.own, None, set.clone());
        let foreign = set.misfits();
        let unfit = snapshot.misfits.iter().filter(|misfit| !foreign.contains(misfit));
        unfit.map(|misfit| misfit.why.clone()).chain(effective::contradictions(&snapshot.values)).collect()
    }

    #[cfg(test)]
    pub fn for_test(set: serde_json::Value) -> Arc<Self> {
        let config = Config::load(crate::config::Sources::default()).expect("the defaults are right");
        let live = Self::new(&config, LogLevel::fixed());
        let set = Settings::parse(&set.to_string()).expect("a document");
        assert_eq!(live.apply(Generation(1), set), Ok(Vec::new()));
        Arc::new(live)
    }
}

impl Snapshot {
    fn of(own: &Settings, generation: Option<Generation>, set: Settings) -> Self {
        let mut misfits = set.misfits();
        let unfit = set.values().filter_map(|(key, value)| effective::misfit(key, value));
        misfits.extend(unfit);
        let values = set.clone().without(&misfits).over(own);
        Self { generation, set, misfits, effective: Effective::read(&values), values }
    }
}
