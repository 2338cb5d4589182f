//! What has changed, as far as it decides what is to be done.

use std::collections::BTreeSet;

/// What a file is to a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Manifest,
    /// The build command has to run.
    Source,
    /// What is packed as it is: an asset, or a component that somebody else builds.
    Content,
}

/// Files that are not what they were, by their paths within the project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes(BTreeSet<(Kind, String)>);

impl Changes {
    pub(super) fn add(&mut self, kind: Kind, path: String) {
        self.0.insert((kind, path));
    }

    #[cfg(test)]
    pub fn of_sources<const N: usize>(paths: [&str; N]) -> Self {
        Self(paths.into_iter().map(|path| (Kind::Source, path.to_owned())).collect())
    }

    pub fn merge(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn manifest(&self) -> bool {
        self.has(Kind::Manifest)
    }

    /// Whether the build command has to run. A manifest may name another command.
    pub fn need_build(&self) -> bool {
        self.has(Kind::Source) || self.manifest()
    }

    /// Whether pages need only new style sheets.
    pub fn only_styles(&self) -> bool {
        !self.is_empty() && self.0.iter().all(|(kind, path)| *kind == Kind::Content && path.ends_with(".css"))
    }

    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, path)| path.as_str())
    }

    fn has(&self, wanted: Kind) -> bool {
        self.0.iter().any(|(kind, _)| *kind == wanted)
    }
}
