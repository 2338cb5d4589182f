//! What this server links.

use crate::engine::WasiGeneration;
use crate::{config, logging};

/// Without versions: any 0.2.x (or 0.3.x) of them fits, as semantic versions do.
pub(super) const OFFERED_P2: [&str; 29] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

pub(super) const OFFERED_P3: [&str; 22] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/types",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/system-clock",
    "wasi:clocks/types",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/client",
    "wasi:http/types",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/types",
];

/// Drafts, of which each version is an interface of its own; offered to both generations.
pub(super) const OFFERED_DRAFTS: [&str; 2] = [config::OFFERED, logging::OFFERED];

/// Whether an import is linked to a component of this generation.
pub(super) fn is_offered(import: &str, generation: WasiGeneration) -> bool {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    let is_released = !version.contains(['-', '+']);
    OFFERED_DRAFTS.contains(&import)
        || (OFFERED_P2.contains(&interface) && version.starts_with("0.2.") && is_released)
        || (generation == WasiGeneration::P3
            && OFFERED_P3.contains(&interface)
            && version.starts_with("0.3.")
            && is_released)
}
