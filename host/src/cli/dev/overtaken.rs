//! Builds whose sources change while they run. Mostly the author is at work; sometimes the build writes among its own
//! sources, and would start itself for ever.
//!
//! Who wrote a file cannot be seen. But an author also saves while nothing is built, a build never does. So a build
//! that is overtaken by the same files again and again gets longer and longer pauses before the next one; if nothing
//! changes in any of them, it was the build.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::dev::Changes;

/// So often a build is ended in the middle; the next ones may finish, or a steady author would never see anything.
const ENDED_MAX: u32 = 3;
/// Then so many pauses, each twice as long as the one before: half a minute in all.
const PAUSES_MAX: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub struct Overtaken {
    paths: BTreeSet<String>,
    times: u32,
}

/// What follows from one more change in the course of a build.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Build again, after a pause.
    Again(Duration),
    /// The build itself makes these changes.
    ByBuild,
}

impl Overtaken {
    /// Whether a build that is of no use any more is ended.
    pub fn ends_builds(&self) -> bool {
        self.times < ENDED_MAX
    }

    /// These sources have changed while they were built.
    pub fn add(&mut self, changes: &Changes) -> Verdict {
        let paths: BTreeSet<String> = changes.paths().map(str::to_owned).collect();
        if paths == self.paths {
            self.times += 1;
        } else {
            *self = Self { paths, times: 1 };
        }
        match self.times.checked_sub(ENDED_MAX + 1) {
            None => Verdict::Again(Duration::ZERO),
            Some(pauses) if pauses < PAUSES_MAX => Verdict::Again(FIRST_PAUSE * (1 << pauses)),
            Some(_) => Verdict::ByBuild,
        }
    }

    /// A build came through, or something changed that no build can have written.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_never_saves_between_builds_is_the_build() {
        let stamp = Changes::of_sources(["src/stamp"]);
        let mut overtaken = Overtaken::default();
        let pauses: Vec<Verdict> = (0..8).map(|_| overtaken.add(&stamp)).collect();
        let after = |seconds| Verdict::Again(Duration::from_secs(seconds));
        let expected =
            [after(0), after(0), after(0), after(2), after(4), after(8), after(16), Verdict::ByBuild];
        assert_eq!(pauses, expected);
        assert!(!overtaken.ends_builds());
        // Another file is another story.
        assert_eq!(overtaken.add(&Changes::of_sources(["src/lib.rs", "src/stamp"])), after(0));
        assert!(overtaken.ends_builds());
        overtaken.forget();
        assert_eq!(overtaken.add(&stamp), after(0));
    }
}
