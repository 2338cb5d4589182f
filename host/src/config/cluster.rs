//! `[cluster]`: what the nodes of a cluster share. Without the section a node is alone.

use std::str::FromStr;

use typecase_cluster::RedisConfig;
use typecase_store::{ClusterSecret, DatabaseUrl, StorageLocation};

use super::reader::{Reader, Section};
use super::secret::Secret;

/// The services of a cluster, all of which every node needs.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// The system of record.
    pub database: DatabaseUrl,
    /// The doorbell.
    pub redis: RedisConfig,
    /// Where bundles are kept.
    pub storage: StorageLocation,
    /// What only the nodes know.
    pub secret: ClusterSecret,
}

impl ClusterConfig {
    /// None without the section, and when it has problems, which the reader keeps.
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let is_cluster = reader.has_section("cluster");
        let mut section = reader.section("cluster");
        let database =
            required(&mut section, is_cluster, "database", "mysql://USER:PASSWORD@HOST:3306/DATABASE");
        let redis = required(&mut section, is_cluster, "redis", "redis://HOST:6379");
        let storage =
            required(&mut section, is_cluster, "storage", "file:///share/typecase or s3://BUCKET/PREFIX");
        let secret_file = section.text_or_none("secret_file", "none").or_else(|| {
            if is_cluster {
                section.problem(
                    "secret_file",
                    "is missing: make a file with `openssl rand -hex 32` and give all nodes a copy",
                );
            }
            None
        });
        let secret = secret_file.and_then(|path| match Secret::read(&path) {
            Ok(text) => parsed(&mut section, "secret_file", text.expose(), ClusterSecret::new),
            Err(problem) => {
                section.problem("secret_file", &problem);
                None
            }
        });
        let database =
            database.and_then(|text| parsed(&mut section, "database", &text, DatabaseUrl::from_str));
        let redis = redis.and_then(|text| parsed(&mut section, "redis", &text, RedisConfig::from_str));
        let storage =
            storage.and_then(|text| parsed(&mut section, "storage", &text, StorageLocation::from_str));
        Some(Self { database: database?, redis: redis?, storage: storage?, secret: secret? })
    }
}

/// A key that a cluster cannot do without. Addresses may hold passwords, so each may also be in a file.
fn required(section: &mut Section<'_>, is_cluster: bool, key: &str, example: &str) -> Option<String> {
    let text = section.text_or_none(key, "none");
    let file = section.text_or_none(&format!("{key}_file"), "none");
    let found = match (text, file) {
        (Some(_), Some(_)) => {
            section.problem(key, &format!("is given twice: keep {key} or {key}_file"));
            return None;
        }
        (Some(text), None) => Some(text),
        (None, Some(path)) => match Secret::read(&path) {
            Ok(secret) => Some(secret.expose().trim().to_owned()),
            Err(problem) => {
                section.problem(&format!("{key}_file"), &problem);
                return None;
            }
        },
        (None, None) => None,
    };
    if found.is_none() && is_cluster {
        section.problem(key, &format!("is missing: all nodes of a cluster share one, such as {example}"));
    }
    found
}

fn parsed<T, E: std::fmt::Display>(
    section: &mut Section<'_>,
    key: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Option<T> {
    match parse(text) {
        Ok(value) => Some(value),
        Err(problem) => {
            section.problem(key, &problem.to_string());
            None
        }
    }
}
