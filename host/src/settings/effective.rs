//! From keys to the types that their users want, and from a node's configuration to keys.

use std::time::Duration;

use ipnet::IpNet;
use typecase_model::settings::{Misfit, Retention, SettingValue};
use typecase_model::{LimitPolicy, Limits, Settings};

use crate::config::{Config, DrainConfig, is_log_level, parse_network};

/// Releases of an app that are kept unless told otherwise.
const RELEASES_KEPT: u32 = 50;

/// The values that hold, in the form in which they are used.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective {
    pub log_level: String,
    pub drain: DrainConfig,
    pub trusted_proxies: Vec<IpNet>,
    pub limits: LimitPolicy,
    pub bundle_bytes_max: u64,
    /// How long all nodes together may take to prepare a release.
    pub rollout_timeout: Duration,
    /// How many of the live nodes must have prepared a release, in percent.
    pub rollout_share_percent: u32,
    pub retention: Retention,
}

/// In the order of the fields of [`Limits`].
const DEFAULTS: [&str; 7] = [
    "limits.default_memory_mb",
    "limits.default_timeout_ms",
    "limits.default_cpu_ms",
    "limits.default_concurrency",
    "limits.default_queue",
    "limits.default_body_mb",
    "limits.default_reuse",
];
const MAXIMA: [&str; 7] = [
    "limits.max_memory_mb",
    "limits.max_timeout_ms",
    "limits.max_cpu_ms",
    "limits.max_concurrency",
    "limits.max_queue",
    "limits.max_body_mb",
    "limits.max_reuse",
];

/// Every key, as the node's configuration or the built-in default has it.
pub fn of_config(config: &Config) -> Settings {
    let networks = config.ingress.trusted_proxies.iter().map(ToString::to_string).collect();
    let number = |key, number| (key, SettingValue::Number(number));
    let LimitPolicy { default, max } = config.limits.policy;
    let values = [
        ("log.level", SettingValue::Text(config.log.level.clone())),
        ("ingress.trusted_proxies", SettingValue::List(networks)),
        number("drain.delay_ms", config.drain.delay_ms),
        number("drain.grace_ms", config.drain.grace_ms),
        number("limits.bundle_mb", config.limits.bundle_mb),
        number("limits.rollout_timeout_ms", config.limits.rollout_timeout_ms),
        number("rollout.share_percent", 100),
        number("retention.releases", RELEASES_KEPT),
        number("retention.age_days", 0),
    ];
    let limits = DEFAULTS.into_iter().zip(numbers_of(default)).chain(MAXIMA.into_iter().zip(numbers_of(max)));
    Settings::of(values.into_iter().chain(limits.map(|(key, value)| number(key, value))))
}

impl Effective {
    /// `values` has every key, and each has been judged.
    pub(super) fn read(values: &Settings) -> Self {
        let number = |key| values.number(key).unwrap_or_default();
        let networks = values.list("ingress.trusted_proxies").unwrap_or_default();
        Self {
            log_level: values.text("log.level").unwrap_or_default().to_owned(),
            drain: DrainConfig { delay_ms: number("drain.delay_ms"), grace_ms: number("drain.grace_ms") },
            trusted_proxies: networks.iter().filter_map(|network| parse_network(network)).collect(),
            limits: LimitPolicy {
                default: limits_of(DEFAULTS.map(number)),
                max: limits_of(MAXIMA.map(number)),
            },
            bundle_bytes_max: u64::from(number("limits.bundle_mb")) << 20,
            rollout_timeout: Duration::from_millis(u64::from(number("limits.rollout_timeout_ms"))),
            rollout_share_percent: number("rollout.share_percent"),
            retention: Retention {
                releases: number("retention.releases"),
                age_ms: match number("retention.age_days") {
                    0 => None,
                    days => Some(i64::from(days) * 24 * 3_600 * 1_000),
                },
            },
        }
    }
}

/// Why a value that has its key's form cannot be used all the same.
pub(super) fn misfit(key: &'static str, value: &SettingValue) -> Option<Misfit> {
    let why = match (key, value) {
        ("log.level", SettingValue::Text(level)) if !is_log_level(level) => format!(
            "log.level: \"{level}\" is neither error, warn, info, debug nor trace, nor directives such as \"info,typecase=debug\""
        ),
        ("ingress.trusted_proxies", SettingValue::List(networks)) => {
            let network = networks.iter().find(|network| parse_network(network).is_none())?;
            format!(
                "ingress.trusted_proxies: \"{network}\" is not a network: write an address or a CIDR, such as \"10.0.0.0/8\""
            )
        }
        _ => return None,
    };
    Some(Misfit { key: key.to_owned(), why })
}

/// Defaults above their maxima; in use the maximum would win without a word.
pub(super) fn contradictions(values: &Settings) -> Vec<String> {
    let pairs = DEFAULTS.into_iter().zip(MAXIMA);
    pairs
        .filter_map(|(default_key, max_key)| {
            let (default, max) = (values.number(default_key)?, values.number(max_key)?);
            (default > max).then(|| {
                format!("{default_key}: {default} is above {max_key}, which is {max}: lower the one or raise the other")
            })
        })
        .collect()
}

fn numbers_of(limits: Limits) -> [u32; 7] {
    let Limits { memory_mb, timeout_ms, cpu_ms, concurrency, queue, body_mb, reuse } = limits;
    [memory_mb, timeout_ms, cpu_ms, concurrency, queue, body_mb, reuse]
}

fn limits_of([memory_mb, timeout_ms, cpu_ms, concurrency, queue, body_mb, reuse]: [u32; 7]) -> Limits {
    Limits { memory_mb, timeout_ms, cpu_ms, concurrency, queue, body_mb, reuse }
}
