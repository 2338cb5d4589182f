//! The author's `typecase.toml`, in the types the server works with.
//!
//! The text is parsed and checked once, when a bundle is packed or published; what is stored with a
//! release is this struct as JSON. The format only grows: a key keeps its name and meaning for ever.

mod limit_requests;
mod parse;
mod rules;
mod sections;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use limit_requests::{LimitError, LimitRequests};
pub use parse::{MANIFEST_BYTES_MAX, ManifestError, Problem};
pub use sections::{Access, AccessRule, AppSection, Build, ConfigKey, Grants, ScheduleEntry};

use crate::{AppName, LimitPolicy, Limits};

/// The manifest's name in a project folder and in a bundle.
pub const MANIFEST_FILE: &str = "typecase.toml";

/// The component's path in a bundle, wherever the author keeps it.
pub const BUNDLE_COMPONENT: &str = "component.wasm";

/// The only version of the format so far.
pub const MANIFEST_VERSION: u32 = 1;

/// What an author says about an app: what it consists of, what it needs, who may use it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub manifest_version: u32,
    pub app: AppSection,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    #[serde(default)]
    pub access: Access,
    #[serde(default)]
    pub limits: LimitRequests,
    #[serde(default)]
    pub grants: Grants,
    /// The values a component reads through `wasi:config`, by key.
    #[serde(default)]
    pub config: BTreeMap<String, ConfigKey>,
    #[serde(default)]
    pub schedule: Vec<ScheduleEntry>,
}

impl Manifest {
    /// Parses and checks the text of a manifest; `file` is what errors call it.
    pub fn parse(text: &str, file: &str) -> Result<Self, ManifestError> {
        parse::parse(text, file)
    }

    /// The manifest of a bare component that was published under a name.
    pub fn for_component(name: AppName) -> Self {
        Self {
            manifest_version: MANIFEST_VERSION,
            app: AppSection::for_component(name),
            build: None,
            access: Access::default(),
            limits: LimitRequests::default(),
            grants: Grants::default(),
            config: BTreeMap::new(),
            schedule: Vec::new(),
        }
    }

    /// The limits that hold for a release with this manifest; refuses what is above the operator's maximum.
    pub fn resolve_limits(&self, policy: &LimitPolicy) -> Result<Limits, LimitError> {
        self.limits.resolve(policy)
    }

    /// The same for a release that was accepted once: an operator who lowers a maximum means running apps too.
    pub fn limits_within(&self, policy: &LimitPolicy) -> Limits {
        self.limits.within(policy)
    }

    /// What the manifest asks for and this server cannot honour yet, a sentence each.
    ///
    /// A publish is refused while the list is not empty: a rule that is not enforced would mislead its author.
    pub fn unsupported(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.access.default != AccessRule::Public {
            sentences.push(
                "[access] default: this server cannot restrict who uses an app yet; only \"public\" is accepted"
                    .to_owned(),
            );
        }
        for (path, _) in self.access.paths.iter().filter(|(_, rule)| **rule != AccessRule::Public) {
            sentences.push(format!(
                "[access] paths.\"{path}\": this server cannot restrict who uses an app yet; remove the rule"
            ));
        }
        for (key, asked) in self.grants.by_key() {
            if !asked.is_empty() {
                sentences.push(format!(
                    "[grants] {key}: this server does not offer this capability yet; remove the key"
                ));
            }
        }
        if !self.schedule.is_empty() {
            sentences
                .push("[[schedule]]: this server does not run schedules yet; remove the section".to_owned());
        }
        sentences
    }
}

#[cfg(test)]
mod tests;
