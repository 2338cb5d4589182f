//! What one app may use, and the operator's defaults and maxima for it.

use serde::{Deserialize, Serialize};

/// The limits that hold for one release: the manifest's wishes, resolved against the operator's policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Linear memory of one instance, in MiB, all of its memories together.
    pub memory_mb: u32,
    /// Wall time from a request's dispatch to the end of its response's headers, and then between two
    /// pieces of its body, in milliseconds.
    pub timeout_ms: u32,
    /// Time one request may compute, in milliseconds; waiting does not count.
    pub cpu_ms: u32,
    /// Requests of the app that run at once on one node.
    pub concurrency: u32,
    /// Requests of the app that wait for their turn on one node; the next one is answered 503.
    pub queue: u32,
    /// Size of a request's body, in MiB.
    pub body_mb: u32,
    /// Requests that one instance serves before it is dropped; 1 is a fresh instance per request.
    pub reuse: u32,
}

/// The operator's side: what a manifest gets when it asks for nothing, and the most it may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitPolicy {
    pub default: Limits,
    pub max: Limits,
}

impl Default for LimitPolicy {
    fn default() -> Self {
        Self {
            default: Limits {
                memory_mb: 128,
                timeout_ms: 30_000,
                cpu_ms: 10_000,
                concurrency: 256,
                queue: 1_024,
                body_mb: 64,
                reuse: 1,
            },
            max: Limits {
                memory_mb: 1_024,
                timeout_ms: 600_000,
                cpu_ms: 300_000,
                concurrency: 1_000,
                queue: 10_000,
                body_mb: 4_096,
                reuse: 100_000,
            },
        }
    }
}
