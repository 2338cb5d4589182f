//! What to do about an import or export that does not fit: what is offered instead, or who else has it.

use super::is_prerelease;
use super::offered::{OFFERED_DRAFTS, OFFERED_P2, OFFERED_P3};
use crate::engine::WasiGeneration;

const P3_ONLY: &str = "to components that export `wasi:http/handler@0.3.x`";

/// Why an import is not offered and what is, in a sentence that follows the import's name.
pub(super) fn of_import(import: &str, generation: WasiGeneration) -> String {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    let is_p3 = generation == WasiGeneration::P3;
    let known = OFFERED_P2.contains(&interface) || OFFERED_P3.contains(&interface);
    let fits = |version: &str| version.starts_with("0.2.") || (is_p3 && version.starts_with("0.3."));
    match (OFFERED_P2.contains(&interface), OFFERED_P3.contains(&interface)) {
        _ if known && is_prerelease(import) => {
            let offered = if version.starts_with("0.3.") { "0.3.x" } else { "0.2.x" };
            let fitting = if fits(version) { "" } else { ", and that only to components of that generation" };
            return format!(
                "{version} is a pre-release; this server offers the released {offered}{fitting}: update the toolchain or bindings that built it"
            );
        }
        (true, true) => return format!("this server offers it as 0.2.x, and as 0.3.x {P3_ONLY}"),
        (true, false) => return "this server offers it as 0.2.x".to_owned(),
        (false, true) => return format!("this server offers it as 0.3.x, {P3_ONLY}"),
        (false, false) => {}
    }
    if let Some(draft) = draft_of(interface) {
        let (offered, offered_version) = draft.split_once('@').unwrap_or((draft, ""));
        return match offered == interface {
            true => format!(
                "this server offers {offered_version}, and drafts fit only exactly: build against that one"
            ),
            false => format!("this server offers `{draft}`, and drafts fit only exactly"),
        };
    }
    match of_foreign(interface) {
        Some(advice) => advice.to_owned(),
        None => format!("not offered; this server offers {}", neighbours(interface)),
    }
}

/// The draft that is offered of an interface's package.
fn draft_of(interface: &str) -> Option<&'static str> {
    let package = interface.split('/').next()?;
    OFFERED_DRAFTS.into_iter().find(|offered| offered.split('/').next() == Some(package))
}

/// What others call it, and what to take instead. The first that fits holds.
const FOREIGN: [(&str, &str); 26] = [
    ("fermyon:spin/variables", SPIN_VARIABLES),
    ("fermyon:spin/config", SPIN_VARIABLES),
    ("spin:variables/", SPIN_VARIABLES),
    ("wasi:runtime-config/", "the older name of wasi:config: import `wasi:config/store@0.2.0-rc.1`"),
    ("fermyon:spin/key-value", KEYVALUE),
    ("spin:key-value/", KEYVALUE),
    ("wasi:keyvalue/", KEYVALUE),
    ("fermyon:spin/sqlite", SQL),
    ("spin:sqlite/", SQL),
    ("fermyon:spin/mysql", SQL),
    ("spin:mysql/", SQL),
    ("fermyon:spin/postgres", SQL),
    ("spin:postgres/", SQL),
    ("wasi:sql/", SQL),
    ("fermyon:spin/redis", "Redis is not offered; this server does not connect apps to databases yet"),
    ("spin:redis/", "Redis is not offered; this server does not connect apps to databases yet"),
    ("fermyon:spin/llm", "Spin's inference is not offered: call a model's HTTP service"),
    ("fermyon:spin/http", "Spin's first HTTP client: update to a Spin SDK that uses `wasi:http`"),
    ("fermyon:", "an interface of Spin alone: replace it by one of WASI's, or leave it out"),
    ("spin:", "an interface of Spin alone: replace it by one of WASI's, or leave it out"),
    ("wasmcloud:", "an interface of wasmCloud alone: replace it by one of WASI's, or leave it out"),
    ("wasi:blobstore/", "files are not offered yet: `files` of [grants] is refused too"),
    ("wasi:messaging/", "messaging is not offered"),
    ("wasi:nn/", "inference is not offered: call a model's HTTP service"),
    ("fastly:", "an interface of Fastly Compute alone: replace it by one of WASI's"),
    (
        "wasi:http/handler",
        "a middleware, which calls another component: compose the two into one with `wac plug`",
    ),
];

const SPIN_VARIABLES: &str = "Spin's variables; here the same values are read through `wasi:config/store@0.2.0-rc.1`, from [config] of the manifest";
const KEYVALUE: &str = "key-value stores are not offered yet: `keyvalue` of [grants] is refused too";
const SQL: &str = "databases are not offered yet: `sql` of [grants] is refused too";

fn of_foreign(interface: &str) -> Option<&'static str> {
    if let Some((_, advice)) = FOREIGN.iter().find(|(prefix, _)| interface.starts_with(prefix)) {
        return Some(advice);
    }
    // `env`, `my-function`: no package, so no host can know it.
    (!interface.contains(':')).then_some(
        "not an interface but an import of its own world, which no server can know: implement it in the component, or compose it with one that exports it",
    )
}

/// What is offered of the same package, or else the packages that are.
fn neighbours(interface: &str) -> String {
    let package = interface.split('/').next().unwrap_or_default();
    let same: Vec<&str> =
        OFFERED_P2.iter().filter(|offered| offered.split('/').next() == Some(package)).copied().collect();
    if same.is_empty() {
        format!(
            "wasi:cli, wasi:clocks, wasi:filesystem, wasi:http, wasi:io, wasi:random and wasi:sockets (0.2.x and 0.3.x), {}",
            OFFERED_DRAFTS.join(" and ")
        )
    } else {
        same.join(", ")
    }
}

const EXPORT_A_HANDLER: &str = "Export `wasi:http/incoming-handler@0.2.x` (world `wasi:http/proxy`) or `wasi:http/handler@0.3.x` (world `wasi:http/service`)";

/// How to make an app of a component that has no handler.
pub(super) fn of_exports(exports: &[String]) -> &'static str {
    let exports_any = |prefix: &str| exports.iter().any(|name| name.starts_with(prefix));
    let is_early = exports.iter().any(|name| name.starts_with("wasi:http/") && is_prerelease(name));
    if is_early {
        "Its handler is of a pre-release of WASI, which fits only itself: update the toolchain or bindings that built it, to a released 0.2.x or 0.3.x"
    } else if exports_any("fermyon:spin/inbound-http") {
        "It was built with a Spin SDK from before `wasi:http`: update spin-sdk to 2 or later"
    } else if exports_any("fermyon:spin/inbound-redis") || exports_any("spin:redis/inbound-redis") {
        "It answers Spin's Redis trigger; only HTTP is served here"
    } else if exports_any("wasmcloud:") || exports_any("wasi:messaging/") {
        "It takes messages; only HTTP is served here"
    } else if exports_any("wasi:cli/run@") {
        "It is a program that runs once. To answer requests, in Rust: make it a library (`crate-type = [\"cdylib\"]`) or use `#[wstd::http_server]`; with other toolchains choose the world `wasi:http/proxy`"
    } else {
        EXPORT_A_HANDLER
    }
}
