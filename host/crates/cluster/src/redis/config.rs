//! `cluster.redis`: where Redis is and who we are to it, parsed from one URL.

use std::fmt;
use std::str::FromStr;

use fred::error::{Error, ErrorKind};
use fred::types::config::{Config, ServerConfig};

/// A URL with the servers of the largest sensible installation fits well; a longer text is something else.
const TEXT_BYTES_MAX: usize = 4_096;

const EXAMPLE_SINGLE: &str = "redis://:PASSWORD@10.0.0.5:6379/0";
const EXAMPLE_SENTINEL: &str =
    "redis-sentinel://:PASSWORD@10.0.0.5:26379/0?sentinelServiceName=mymaster&node=10.0.0.6:26379";
const EXAMPLE_CLUSTER: &str = "redis-cluster://:PASSWORD@10.0.0.5:6379?node=10.0.0.6:6379";

/// How to reach Redis: one server, Sentinel or Redis Cluster, with or without TLS. Never shows a password.
#[derive(Clone)]
pub struct RedisConfig {
    config: Config,
    address: String,
}

/// What is wrong with the text; never repeats parts that could be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}, for example {example}")]
pub struct RedisConfigError {
    problem: String,
    example: &'static str,
}

/// How many servers there are to ask, and what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Single,
    Sentinel,
    Cluster,
}

impl Mode {
    fn example(self) -> &'static str {
        match self {
            Self::Single => EXAMPLE_SINGLE,
            Self::Sentinel => EXAMPLE_SENTINEL,
            Self::Cluster => EXAMPLE_CLUSTER,
        }
    }

    /// Parameters that mean something; fred ignores others silently.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Single => &[],
            Self::Sentinel => &["sentinelServiceName", "sentinelUsername", "sentinelPassword", "node"],
            Self::Cluster => &["node"],
        }
    }
}

impl RedisConfig {
    /// For people: scheme, servers and database, without user and passwords.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// One known server for each attempt, in turn: fred always begins with the same one, and a Sentinel that accepts
    /// and never answers would be the only one it ever asks.
    pub(super) fn for_attempt(&self, attempt: usize) -> Config {
        let mut config = self.config.clone();
        if let ServerConfig::Sentinel { hosts, .. } | ServerConfig::Clustered { hosts, .. } =
            &mut config.server
        {
            let chosen = attempt % hosts.len().max(1);
            *hosts = hosts.get(chosen).cloned().into_iter().collect();
        }
        config
    }
}

impl FromStr for RedisConfig {
    type Err = RedisConfigError;

    fn from_str(text: &str) -> Result<Self, RedisConfigError> {
        let (scheme, mode, rest) = split_scheme(text)?;
        let fail = |problem: String| RedisConfigError { problem, example: mode.example() };
        check_parameters(rest, mode).map_err(fail)?;
        let config = Config::from_url(text).map_err(|error| fail(problem_of(&error)))?;
        check(&config, rest, mode).map_err(fail)?;
        let address = address_of(scheme, &config);
        Ok(Self { config, address })
    }
}

fn split_scheme(text: &str) -> Result<(&str, Mode, &str), RedisConfigError> {
    let fail = |problem: &str| RedisConfigError { problem: problem.to_owned(), example: EXAMPLE_SINGLE };
    if text.len() > TEXT_BYTES_MAX {
        return Err(fail(&format!("longer than {TEXT_BYTES_MAX} bytes; write one URL")));
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let (base, mode) = match (scheme.strip_suffix("-sentinel"), scheme.strip_suffix("-cluster")) {
        (Some(base), _) => (base, Mode::Sentinel),
        (_, Some(base)) => (base, Mode::Cluster),
        _ => (scheme, Mode::Single),
    };
    match base {
        "redis" | "rediss" | "valkey" | "valkeys" => Ok((scheme, mode, rest)),
        _ => Err(fail(
            "not a URL of Redis; write redis://, redis-sentinel:// or redis-cluster:// (with TLS rediss://, ...)",
        )),
    }
}

/// `rest` is what follows the scheme.
fn check_parameters(rest: &str, mode: Mode) -> Result<(), String> {
    if rest.contains('#') {
        return Err("has a `#`; write %23 if it is part of a password".to_owned());
    }
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if !mode.parameters().contains(&name.as_ref()) {
            let known = match mode.parameters() {
                [] => "none is known here".to_owned(),
                known => format!("known are {}", known.join(", ")),
            };
            return Err(format!("has an unknown parameter after `?`; {known}"));
        }
        let is_server = |value: &str| {
            value.split_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        if name == "node" && !is_server(&value) {
            return Err("has a `node` that is not HOST:PORT".to_owned());
        }
        if name == "sentinelServiceName" && value.is_empty() {
            return Err("has an empty sentinelServiceName; name the primary as Sentinel does".to_owned());
        }
    }
    Ok(())
}

/// What fred lets pass and would only show itself at run time.
fn check(config: &Config, rest: &str, mode: Mode) -> Result<(), String> {
    if config.server.hosts().iter().any(|server| server.host.is_empty()) {
        return Err("names no server; write HOST:PORT".to_owned());
    }
    if config.username.is_some() && config.password.is_none() {
        return Err("has a user but no password; write :PASSWORD@ or USER:PASSWORD@".to_owned());
    }
    let path = rest.split(['?']).next().and_then(|rest| rest.split_once('/'));
    if mode == Mode::Cluster && path.is_some_and(|(_, path)| !path.is_empty()) {
        return Err("names a database, but Redis Cluster has one only; leave it out".to_owned());
    }
    Ok(())
}

fn problem_of(error: &Error) -> String {
    match error.kind() {
        // fred's words for these are fixed; they repeat nothing of the URL.
        ErrorKind::Url => format!(
            "not a well-formed URL ({}); a password's own @ : / ? # % are written %40 %3A %2F %3F %23 %25",
            error.details()
        ),
        ErrorKind::Tls => format!("the system's certificate authorities cannot be read: {}", error.details()),
        _ if error.details().contains("sentinel service name") => {
            "says no sentinelServiceName; name the primary as Sentinel does".to_owned()
        }
        _ if error.details().contains("host") => "names no server; write HOST:PORT".to_owned(),
        _ => "has a database that is not a number from 0 to 255".to_owned(),
    }
}

fn address_of(scheme: &str, config: &Config) -> String {
    let servers: Vec<String> =
        config.server.hosts().iter().map(|server| format!("{}:{}", server.host, server.port)).collect();
    let mut address = format!("{scheme}://{}", servers.join(","));
    if let ServerConfig::Sentinel { service_name, .. } = &config.server {
        address.push_str(&format!(" ({service_name})"));
    }
    address
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisConfig").field(&self.address).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_show_no_secrets() {
        for (text, address) in [
            ("redis://localhost", "redis://localhost:6379"),
            ("redis://:hush@10.0.0.5:7000/3", "redis://10.0.0.5:7000"),
            ("rediss://me:hush@redis.example:6380", "rediss://redis.example:6380"),
            ("redis://[::1]:6379", "redis://[::1]:6379"),
            (
                "redis-sentinel://me:hush@a:1/2?sentinelServiceName=main&node=b:2&sentinelPassword=hush",
                "redis-sentinel://b:2,a:1 (main)",
            ),
            ("redis-cluster://:hush@a?node=b:7001", "redis-cluster://b:7001,a:6379"),
        ] {
            let config: RedisConfig = text.parse().unwrap();
            assert_eq!(config.address(), address);
            assert!(!format!("{config:?}").contains("hush"), "{config:?}");
        }
    }

    #[test]
    fn passwords_are_decoded() {
        let config: RedisConfig = "redis://me:p%40ss%2Fw@h".parse().unwrap();
        assert_eq!(config.config.username.as_deref(), Some("me"));
        assert_eq!(config.config.password.as_deref(), Some("p@ss/w"));
    }

    #[test]
    fn mistakes_are_named_without_the_password() {
        let long = format!("redis://:hush@{}", "h".repeat(TEXT_BYTES_MAX));
        for (text, problem) in [
            ("", "not a URL of Redis"),
            ("hush@localhost:6379", "not a URL of Redis"),
            ("mysql://:hush@localhost", "not a URL of Redis"),
            (&long, "longer than"),
            ("redis://", "names no server"),
            ("redis:///0", "names no server"),
            ("redis://:hush@h:port", "not a well-formed URL"),
            ("redis://:hu/sh@h", "not a well-formed URL"),
            ("redis://:hush#@h", "has a `#`"),
            ("redis://hush@h", "has a user but no password"),
            ("redis://:hush@h/x", "database"),
            ("redis://:hush@h/0/1", "database"),
            ("redis://:hush@h?timeout=3", "unknown parameter"),
            ("redis-cluster://:hush@h/1", "names a database"),
            ("redis-cluster://:hush@h?node=me:hush@b:1", "`node` that is not HOST:PORT"),
            ("redis-sentinel://:hush@h", "sentinelServiceName"),
            ("redis-sentinel://:hush@h?sentinelServiceName=", "empty sentinelServiceName"),
            ("redis-sentinel://:hush@h?serviceName=main", "unknown parameter"),
        ] {
            let error = text.parse::<RedisConfig>().unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
            assert!(!error.contains("hush") && error.contains(", for example redis"), "{text}: {error}");
        }
    }

    #[test]
    fn each_attempt_asks_another_server() {
        let config: RedisConfig = "redis-cluster://a:1?node=b:2&node=c:3".parse().unwrap();
        let asked: Vec<String> = (0..4)
            .flat_map(|attempt| config.for_attempt(attempt).server.hosts())
            .map(|server| server.host.to_string())
            .collect();
        assert_eq!(asked, ["b", "c", "a", "b"]);
        let single: RedisConfig = "redis://a:1".parse().unwrap();
        assert_eq!(single.for_attempt(7).server.hosts().len(), 1);
    }
}
