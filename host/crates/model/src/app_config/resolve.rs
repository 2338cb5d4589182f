//! From what a manifest declares and what was set to what a release's instances see.

use std::collections::BTreeMap;
use std::fmt;

use super::{AppConfig, ConfigContent};
use crate::AppName;
use crate::manifest::{ConfigKey, Manifest};

/// Why a release cannot have the values that it declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub app: AppName,
    /// At least one.
    pub problems: Vec<ConfigProblem>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigProblem {
    Missing { name: String, secret: bool },
    Unreadable { name: String, why: String },
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the config of `{}` is not complete:", self.app)?;
        for problem in &self.problems {
            write!(f, "\n  {}", self.describe(problem))?;
        }
        Ok(())
    }
}

impl ConfigError {
    /// One of the problems, with the command that solves it.
    pub fn describe(&self, problem: &ConfigProblem) -> String {
        let app = &self.app;
        match problem {
            ConfigProblem::Missing { name, secret: false } => {
                format!("{name} is required: `typecase config set {app} {name}=VALUE`")
            }
            // A value on the command line shows in `ps` and stays in the shell's history.
            ConfigProblem::Missing { name, secret: true } => {
                format!("{name} is required: `typecase config set {app} --from-file {name}=PATH`")
            }
            ConfigProblem::Unreadable { name, why } => format!(
                "{name} {why}: set it again with `typecase config set {app} --secret --from-file {name}=PATH`"
            ),
        }
    }
}

impl Manifest {
    /// The values that instances of a release with this manifest see: what it declares and nothing else.
    pub fn resolve_config(&self, set: &AppConfig) -> Result<BTreeMap<String, String>, ConfigError> {
        resolve(&self.config, set)
    }
}

fn resolve(
    declared: &BTreeMap<String, ConfigKey>,
    set: &AppConfig,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let (mut values, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, key) in declared {
        let found = name.parse().ok().and_then(|name| set.values.get(&name));
        match (found.map(|value| &value.content), &key.default) {
            (Some(ConfigContent::Text(text)), _) => {
                values.insert(name.clone(), text.clone());
            }
            (Some(ConfigContent::Unreadable(why)), _) => {
                problems.push(ConfigProblem::Unreadable { name: name.clone(), why: why.clone() });
            }
            (None, Some(default)) => {
                values.insert(name.clone(), default.clone());
            }
            (None, None) if key.required => {
                problems.push(ConfigProblem::Missing { name: name.clone(), secret: key.secret });
            }
            (None, None) => {}
        }
    }
    match problems.is_empty() {
        true => Ok(values),
        false => Err(ConfigError { app: set.app.clone(), problems }),
    }
}
