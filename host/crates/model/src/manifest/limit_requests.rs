//! `[limits]`: what an author asks for, and how it meets the operator's policy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::{LimitPolicy, Limits};

/// What the app needs; the operator's default holds where nothing is asked. A publish is refused where more is asked than the
/// operator allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitRequests {
    /// Linear memory of one instance, in MiB, all of its memories together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::limit", example = 64)]
    pub memory_mb: Option<u32>,
    /// Wall time from a request's dispatch to the end of its response's headers, and then between two pieces of its body, in
    /// milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::limit", example = 30000)]
    pub timeout_ms: Option<u32>,
    /// Time one request may compute, in milliseconds; waiting does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::limit", example = 500)]
    pub cpu_ms: Option<u32>,
    /// Requests of the app that run at once on one node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::limit", example = 100)]
    pub concurrency: Option<u32>,
    /// Requests of the app that wait for their turn on one node; the next one is answered 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::limit", example = 200)]
    pub queue: Option<u32>,
    /// Size of a request's body, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::limit", example = 16)]
    pub body_mb: Option<u32>,
    /// Requests that one instance serves before it is dropped; 1 is a fresh instance per request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::limit", example = 100)]
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

    pub(super) fn resolve(&self, policy: &LimitPolicy) -> Result<Limits, Vec<LimitError>> {
        let max = LimitRequests::of(&policy.max).by_key();
        let above = self.by_key().into_iter().zip(max).filter_map(|((key, asked), (_, max))| {
            let (asked, max) = (asked?, max?);
            (asked > max).then_some(LimitError { key, asked, max })
        });
        let above: Vec<_> = above.collect();
        // An operator who lowers a maximum below the default means the maximum.
        if above.is_empty() { Ok(self.within(policy)) } else { Err(above) }
    }

    fn of(limits: &Limits) -> Self {
        Self {
            memory_mb: Some(limits.memory_mb),
            timeout_ms: Some(limits.timeout_ms),
            cpu_ms: Some(limits.cpu_ms),
            concurrency: Some(limits.concurrency),
            queue: Some(limits.queue),
            body_mb: Some(limits.body_mb),
            reuse: Some(limits.reuse),
        }
    }
}
