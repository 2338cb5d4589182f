//! The static configuration of one node: file, then environment, then flags, each overriding the one before.
//!
//! Every problem of every source is collected and reported at once, before a port is bound: whoever
//! configures a server mends it in one go. Each section is a file beside this one; `docs/config.md`
//! is its reference, and a test below keeps the two in step.

mod cluster;
mod drain;
mod ingress;
mod limits;
mod log;
mod node;
mod reader;
mod secret;
mod setup;
mod storage;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

pub use cluster::ClusterConfig;
pub use drain::DrainConfig;
pub use ingress::{IngressConfig, parse_network};
pub use limits::LimitsConfig;
pub use log::{AccessLog, EchoApps, LogConfig, LogFormat, is_log_level};
pub use node::{DATABASE_FILE, NodeConfig, data_dir_default};
pub use secret::Secret;
pub use setup::SetupConfig;
pub use storage::StorageConfig;

use reader::Reader;

/// Environment variables of the configuration: `TYPECASE_SECTION__KEY`. Names without the double
/// underscore (`TYPECASE_SERVER`, `TYPECASE_TOKEN`) belong to the command line and are left alone.
const ENVIRONMENT_PREFIX: &str = "TYPECASE";
const ENVIRONMENT_SEPARATOR: &str = "__";

/// A configuration file is written by hand; one larger than this is the wrong file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Everything a node is told before it starts.
#[derive(Debug, Clone)]
pub struct Config {
    pub node: NodeConfig,
    /// None: this node is alone.
    pub cluster: Option<ClusterConfig>,
    pub limits: LimitsConfig,
    pub log: LogConfig,
    pub drain: DrainConfig,
    pub ingress: IngressConfig,
    pub storage: StorageConfig,
    pub setup: SetupConfig,
}

/// Where the configuration comes from, in ascending order of precedence.
#[derive(Debug, Default)]
pub struct Sources {
    pub file: Option<PathBuf>,
    pub environment: HashMap<String, String>,
    /// Flags of the command line, as configuration keys: `("node.listen", "0.0.0.0:80")`.
    pub flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// The process's environment, without variables that are not Unicode.
    pub fn from_environment() -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { environment, ..Self::default() }
    }
}

/// All problems of a configuration; each line names the key, its source and what to set instead.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => write!(f, "the configuration has a problem:")?,
            count => write!(f, "the configuration has {count} problems:")?,
        }
        for problem in &self.problems {
            write!(f, "\n  {}", problem.replace('\n', "\n    "))?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    pub fn load(sources: Sources) -> Result<Self, ConfigError> {
        let mut reader = open(&sources).map_err(|problem| ConfigError { problems: vec![problem] })?;
        let config = read(&mut reader, &sources.environment);
        match reader.finish() {
            problems if problems.is_empty() => Ok(config),
            problems => Err(ConfigError { problems }),
        }
    }
}

fn open(sources: &Sources) -> Result<Reader, String> {
    let mut builder = ::config::Config::builder();
    if let Some(path) = &sources.file {
        let shown = path.display();
        match std::fs::metadata(path) {
            Ok(meta) if !meta.is_file() => {
                return Err(format!("{shown}: not a file; give --config a TOML file"));
            }
            Ok(meta) if meta.len() > FILE_BYTES_MAX => {
                return Err(format!("{shown}: larger than {FILE_BYTES_MAX} bytes; is this the right file?"));
            }
            Ok(_) => {}
            Err(error) => return Err(format!("{shown}: cannot be read: {error}")),
        }
        let file: ::config::File<_, _> = path.clone().into();
        builder = builder.add_source(file.format(::config::FileFormat::Toml));
    }
    let ours: HashMap<String, String> = sources
        .environment
        .iter()
        .filter(|(name, _)| is_ours(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    builder = builder.add_source(
        ::config::Environment::with_prefix(ENVIRONMENT_PREFIX)
            .prefix_separator("_")
            .separator(ENVIRONMENT_SEPARATOR)
            .source(Some(ours)),
    );
    for (key, value) in &sources.flags {
        builder = builder.set_override(*key, value.as_str()).map_err(|error| format!("{key}: {error}"))?;
    }
    let file = sources.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let built = builder.build().map_err(|error| match error {
        ::config::ConfigError::FileParse { cause, .. } => format!("{file}: {}", cause.to_string().trim_end()),
        other => other.to_string(),
    })?;
    Ok(Reader::new(built.cache, file))
}

fn is_ours(name: &str) -> bool {
    name.strip_prefix(ENVIRONMENT_PREFIX)
        .and_then(|rest| rest.strip_prefix('_'))
        .is_some_and(|rest| rest.contains(ENVIRONMENT_SEPARATOR))
}

fn read(reader: &mut Reader, environment: &HashMap<String, String>) -> Config {
    let node = NodeConfig::read(reader);
    if reader.has_section("cluster") {
        reader.refuse(
            "storage",
            "a cluster shares its bundles: remove the section; cluster.storage says where they are",
        );
    }
    let storage = StorageConfig::read(reader, &node.data);
    let cluster = ClusterConfig::read(reader);
    reader.refuse(
        "app",
        "this looks like an app's manifest (typecase.toml): --config wants the node's own file, see docs/config.md",
    );
    Config {
        limits: LimitsConfig::read(reader),
        log: LogConfig::read(reader),
        drain: DrainConfig::read(reader),
        ingress: IngressConfig::read(reader),
        setup: SetupConfig::read(reader, environment, &node.data),
        node,
        cluster,
        storage,
    }
}

#[cfg(test)]
mod tests;
