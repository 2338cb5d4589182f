//! `[limits]`: what an author asks for, and how it meets the operator's policy.

use serde::{Deserialize, Serialize};

use crate::{LimitPolicy, Limits};

/// The limits an author asks for; the operator's default holds where nothing is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitRequests {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_mb: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<u32>,
}

/// A limit that is above what the operator allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "[limits] {key} = {asked} is above this server's maximum of {max}: lower it, or ask the operator for a higher maximum"
)]
pub struct LimitError {
    pub key: &'static str,
    pub asked: u32,
    pub max: u32,
}

impl LimitRequests {
    pub(super) fn by_key(&self) -> [(&'static str, Option<u32>); 7] {
        [
            ("memory_mb", self.memory_mb),
            ("timeout_ms", self.timeout_ms),
            ("cpu_ms", self.cpu_ms),
            ("concurrency", self.concurrency),
            ("queue", self.queue),
            ("body_mb", self.body_mb),
            ("reuse", self.reuse),
        ]
    }

    pub(super) fn within(&self, policy: &LimitPolicy) -> Limits {
        let LimitPolicy { default, max } = policy;
        let pick = |asked: Option<u32>, default: u32, max: u32| asked.unwrap_or(default).min(max);
        Limits {
            memory_mb: pick(self.memory_mb, default.memory_mb, max.memory_mb),
            timeout_ms: pick(self.timeout_ms, default.timeout_ms, max.timeout_ms),
            cpu_ms: pick(self.cpu_ms, default.cpu_ms, max.cpu_ms),
            concurrency: pick(self.concurrency, default.concurrency, max.concurrency),
            queue: pick(self.queue, default.queue, max.queue),
            body_mb: pick(self.body_mb, default.body_mb, max.body_mb),
            reuse: pick(self.reuse, default.reuse, max.reuse),
        }
    }

    pub(super) fn resolve(&self, policy: &LimitPolicy) -> Result<Limits, LimitError> {
        let pick = |key: &'static str, asked: Option<u32>, default: u32, max: u32| match asked {
            Some(asked) if asked > max => Err(LimitError { key, asked, max }),
            Some(asked) => Ok(asked),
            // An operator who lowers a maximum below the default means the maximum.
            None => Ok(default.min(max)),
        };
        let LimitPolicy { default, max } = policy;
        Ok(Limits {
            memory_mb: pick("memory_mb", self.memory_mb, default.memory_mb, max.memory_mb)?,
            timeout_ms: pick("timeout_ms", self.timeout_ms, default.timeout_ms, max.timeout_ms)?,
            cpu_ms: pick("cpu_ms", self.cpu_ms, default.cpu_ms, max.cpu_ms)?,
            concurrency: pick("concurrency", self.concurrency, default.concurrency, max.concurrency)?,
            queue: pick("queue", self.queue, default.queue, max.queue)?,
            body_mb: pick("body_mb", self.body_mb, default.body_mb, max.body_mb)?,
            reuse: pick("reuse", self.reuse, default.reuse, max.reuse)?,
        })
    }
}
