//! The author's `typecase.toml`, in the types the server works with.
//!
//! The text is parsed and checked once, when a bundle is packed or published; what is stored with a
//! release is this struct as JSON. The format only grows: a key keeps its name and meaning for ever.

mod limit_requests;
mod parse;
mod rules;
mod schema;
mod sections;
mod spin;
mod words;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use limit_requests::{LimitError, LimitRequests};
pub use parse::{MANIFEST_BYTES_MAX, ManifestError, Problem};
pub use schema::schema;
pub use sections::{Access, AccessRule, AppSection, Build, ConfigKey, Grants, ScheduleEntry};
pub use spin::SPIN_MANIFEST_FILE;

use crate::{AppName, LimitPolicy, Limits};

/// The manifest's name in a project folder and in a bundle.
pub const MANIFEST_FILE: &str = "typecase.toml";

/// The component's path in a bundle, wherever the author keeps it.
pub const BUNDLE_COMPONENT: &str = "component.wasm";

/// The only version of the format so far.
pub const MANIFEST_VERSION: u32 = 1;

/// What an author says about an app: what it consists of, what it needs, who may use it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this format.
    #[schemars(extend("const" = MANIFEST_VERSION))]
    pub manifest_version: u32,
    pub app: AppSection,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Build")]
    pub build: Option<Build>,
    #[serde(default)]
    pub access: Access,
    #[serde(default)]
    pub limits: LimitRequests,
    #[serde(default)]
    pub grants: Grants,
    /// The values a component reads through `wasi:config`, by key: 1 to 64 of a-z, 0-9, `_`, `-` and `.`. Operators set them
    /// with `typecase config set`.
    #[serde(default)]
    #[schemars(schema_with = "schema::config")]
    pub config: BTreeMap<String, ConfigKey>,
    #[serde(default)]
    pub schedule: Vec<ScheduleEntry>,
}

impl Manifest {
    /// Parses and checks the text of a manifest; `file` is what errors call it.
    pub fn parse(text: &str, file: &str) -> Result<Self, ManifestError> {
        parse::parse(text, file)
    }

    /// Reads a Spin project's manifest as one; errors name what it asks for and would not get.
    pub fn parse_spin(text: &str, file: &str) -> Result<Self, ManifestError> {
        spin::parse(text, file)
    }

    /// The text of a manifest that nobody wrote.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
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

    /// Shows findings about a well-formed manifest in its text, each at the place that its keys (and indexes of lists, in
    /// decimal) lead to.
    pub fn refused(text: &str, file: &str, findings: &[(Vec<String>, String)]) -> ManifestError {
        parse::refused(text, file, findings)
    }

    /// The limits that hold for a release with this manifest; refuses what is above the operator's maximum.
    pub fn resolve_limits(&self, policy: &LimitPolicy) -> Result<Limits, Vec<LimitError>> {
        self.limits.resolve(policy)
    }

    /// The same for a release that was accepted once: an operator who lowers a maximum means running apps too.
    pub fn limits_within(&self, policy: &LimitPolicy) -> Limits {
        self.limits.within(policy)
    }

    /// What the manifest asks for and this server cannot honour yet.
    ///
    /// A publish is refused while the list is not empty: a rule that is not enforced would mislead its author.
    pub fn unsupported(&self) -> Vec<Unsupported> {
        let mut found = Vec::new();
        let mut add = |place: &[&str], message: &str| {
            let place = place.iter().map(|&step| step.to_owned()).collect();
            found.push(Unsupported { place, message: message.to_owned() });
        };
        if self.access.default != AccessRule::Public {
            add(
                &["access", "default"],
                "[access] default: this server cannot restrict who uses an app yet; only \"public\" is accepted",
            );
        }
        for (path, _) in self.access.paths.iter().filter(|(_, rule)| **rule != AccessRule::Public) {
            add(
                &["access", "paths", path],
                &format!(
                    "[access] paths.\"{path}\": this server cannot restrict who uses an app yet; remove the rule"
                ),
            );
        }
        for (key, _) in self.grants.by_key().iter().filter(|(_, asked)| !asked.is_empty()) {
            add(
                &["grants", key],
                &format!("[grants] {key}: this server does not offer this capability yet; remove the key"),
            );
        }
        if !self.schedule.is_empty() {
            add(&["schedule"], "[[schedule]]: this server does not run schedules yet; remove the section");
        }
        found
    }
}

/// One thing that a manifest asks for and that no server of this version honours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// The keys that lead to it.
    pub place: Vec<String>,
    pub message: String,
}

#[cfg(test)]
mod tests;
