//! `[limits]`: what apps get and may ask for, and what one node takes on altogether.

use typecase_model::{LimitPolicy, Limits};
use typecase_runtime::CompileEffort;

use super::reader::{Reader, Section};

/// What this node holds apps, clients and publishers to.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// What an app's manifest gets when it asks for nothing, and the most it may ask for.
    pub policy: LimitPolicy,
    /// Instances alive at once on this node, all apps together: the size of the instance pool.
    pub instances_max: u32,
    /// Connections on the app port; the next one waits in the listener's backlog.
    pub connections_max: u32,
    /// Size of a request's headers.
    pub header_bytes_max: u32,
    /// Time from a connection's first byte to the end of a request's headers.
    pub header_timeout_ms: u32,
    /// Time a connection may be open without a request.
    pub idle_timeout_ms: u32,
    /// Size of an uploaded bundle, in MiB.
    pub bundle_mb: u32,
    /// Memory of the process that compiles one component, in MiB.
    pub compile_memory_mb: u32,
    /// Time that compiling one component may take.
    pub compile_timeout_ms: u32,
    /// Components compiled at once.
    pub compile_concurrency: u32,
    /// How much of that time goes into fast code.
    pub compile_effort: CompileEffort,
    /// Time that all nodes have to prepare a release before it fails.
    pub rollout_timeout_ms: u32,
}

/// More threads of work than a machine has any use for. What the pools hold at most is up to the runtime.
const INSTANCES_MAX: u32 = 10_000;
const HOUR_MS: u32 = 3_600_000;
const MB_MAX: u32 = 1 << 20;

impl LimitsConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let mut section = reader.section("limits");
        let preset = LimitPolicy::default();
        let policy = LimitPolicy {
            default: limits(&mut section, "default", preset.default),
            max: limits(&mut section, "max", preset.max),
        };
        defaults_within_maxima(&mut section, &policy);
        Self {
            policy,
            instances_max: section.number("instances_max", 1_000, 1..=INSTANCES_MAX),
            connections_max: section.number("connections_max", 10_000, 1..=1_000_000),
            header_bytes_max: section.number("header_bytes_max", 64 << 10, (8 << 10)..=(1 << 20)),
            header_timeout_ms: section.number("header_timeout_ms", 10_000, 100..=HOUR_MS),
            idle_timeout_ms: section.number("idle_timeout_ms", 75_000, 1_000..=HOUR_MS),
            bundle_mb: section.number("bundle_mb", 256, 1..=4_096),
            compile_memory_mb: section.number("compile_memory_mb", 2_048, 256..=MB_MAX),
            compile_timeout_ms: section.number("compile_timeout_ms", 120_000, 1_000..=HOUR_MS),
            compile_concurrency: section.number("compile_concurrency", 1, 1..=64),
            compile_effort: section.choice(
                "compile_effort",
                "full",
                &[("full", CompileEffort::Full), ("little", CompileEffort::Little)],
                CompileEffort::Full,
            ),
            rollout_timeout_ms: section.number("rollout_timeout_ms", 120_000, 1_000..=HOUR_MS),
        }
    }
}

fn limits(section: &mut Section<'_>, side: &str, preset: Limits) -> Limits {
    let mut number = |name: &str, preset, max| section.number(&format!("{side}_{name}"), preset, 1..=max);
    Limits {
        // A 32-bit memory cannot be larger.
        memory_mb: number("memory_mb", preset.memory_mb, 4_096),
        timeout_ms: number("timeout_ms", preset.timeout_ms, 24 * HOUR_MS),
        cpu_ms: number("cpu_ms", preset.cpu_ms, HOUR_MS),
        concurrency: number("concurrency", preset.concurrency, INSTANCES_MAX),
        queue: number("queue", preset.queue, 1_000_000),
        body_mb: number("body_mb", preset.body_mb, MB_MAX),
        reuse: number("reuse", preset.reuse, 1_000_000_000),
    }
}

fn defaults_within_maxima(section: &mut Section<'_>, policy: &LimitPolicy) {
    let (default, max) = (policy.default, policy.max);
    for (name, default, max) in [
        ("memory_mb", default.memory_mb, max.memory_mb),
        ("timeout_ms", default.timeout_ms, max.timeout_ms),
        ("cpu_ms", default.cpu_ms, max.cpu_ms),
        ("concurrency", default.concurrency, max.concurrency),
        ("queue", default.queue, max.queue),
        ("body_mb", default.body_mb, max.body_mb),
        ("reuse", default.reuse, max.reuse),
    ] {
        if default > max {
            section.problem(
                &format!("default_{name}"),
                &format!(
                    "{default} is above limits.max_{name}, which is {max}: lower the one or raise the other"
                ),
            );
        }
    }
}
