//! Looks at an uploaded component without compiling it: what it exports, what it imports, and whether
//! this server can serve it.

use std::borrow::Cow;

use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};

use crate::config;
use crate::engine::WasiGeneration;

/// Imports and exports a component may have at its top level; compilers produce a few dozen.
const NAMES_MAX: usize = 1_000;

/// What this server links, without versions. Any 0.2.x (or 0.3.x) of them fits, as semantic versions do.
const OFFERED_P2: [&str; 29] = [
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

const OFFERED_P3: [&str; 22] = [
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

/// What was found in a component that can be served.
#[derive(Debug)]
pub struct Inspection<'a> {
    pub generation: WasiGeneration,
    pub imports: Vec<String>,
    /// The component; owned when it had to be made from a core module.
    pub component: Cow<'a, [u8]>,
}

/// Why a component cannot be served; each message says what to change.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error(
        "this is not a WebAssembly component: {0}. Build for the target `wasm32-wasip2`, or wrap the module with `wasm-tools component new`"
    )]
    NotAComponent(String),
    #[error(
        "this core module could not be made into a component: {0}. Build it for `wasm32-wasip2`, or with bindings for the `wasi:http/proxy` world"
    )]
    NotComponentizable(String),
    #[error(
        "the component exports no HTTP handler (it exports {0}). Export `wasi:http/incoming-handler@0.2.x` (world `wasi:http/proxy`) or `wasi:http/handler@0.3.x` (world `wasi:http/service`)"
    )]
    WrongWorld(String),
    #[error("the component imports what this server does not offer:{0}")]
    UnknownImports(String),
}

impl InspectError {
    /// The stable code for problem reports.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAComponent(_) => "not-a-component",
            Self::NotComponentizable(_) => "not-componentizable",
            Self::WrongWorld(_) => "wrong-world",
            Self::UnknownImports(_) => "unknown-imports",
        }
    }
}

/// Checks uploaded bytes: a component with an HTTP handler, of which every import is offered.
///
/// A core module for WASI 0.1 that carries its component type is made into a component first.
pub fn inspect(bytes: &[u8]) -> Result<Inspection<'_>, InspectError> {
    let component = match encoding(bytes)? {
        Encoding::Component => Cow::Borrowed(bytes),
        Encoding::Module => Cow::Owned(componentize(bytes)?),
    };
    Validator::new_with_features(WasmFeatures::all())
        .validate_all(&component)
        .map_err(|error| InspectError::NotAComponent(error.to_string()))?;
    let (imports, exports) = names(&component)?;
    let generation = generation(&exports)?;
    refuse_unknown(&imports, generation)?;
    Ok(Inspection { generation, imports, component })
}

fn encoding(bytes: &[u8]) -> Result<Encoding, InspectError> {
    match Parser::new(0).parse_all(bytes).next() {
        Some(Ok(Payload::Version { encoding, .. })) => Ok(encoding),
        Some(Err(error)) => Err(InspectError::NotAComponent(error.to_string())),
        _ => Err(InspectError::NotAComponent("it is empty".into())),
    }
}

fn componentize(module: &[u8]) -> Result<Vec<u8>, InspectError> {
    use wasi_preview1_component_adapter_provider::{
        WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
    };
    let encode = || {
        wit_component::ComponentEncoder::default()
            .validate(true)
            .module(module)?
            .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
            .encode()
    };
    encode().map_err(|error| InspectError::NotComponentizable(format!("{error:#}")))
}

/// The names of the top level's imports and exports.
fn names(component: &[u8]) -> Result<(Vec<String>, Vec<String>), InspectError> {
    let malformed = |error: wasmparser::BinaryReaderError| InspectError::NotAComponent(error.to_string());
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(malformed)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) if depth > 0 => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(malformed)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.map_err(malformed)?.name.name.to_owned());
                }
            }
            _ => {}
        }
        if imports.len() + exports.len() > NAMES_MAX {
            let detail = format!("it has more than {NAMES_MAX} imports and exports");
            return Err(InspectError::NotAComponent(detail));
        }
    }
    Ok((imports, exports))
}

fn generation(exports: &[String]) -> Result<WasiGeneration, InspectError> {
    let exports_any = |prefix: &str| exports.iter().any(|name| name.starts_with(prefix));
    if exports_any("wasi:http/incoming-handler@0.2.") {
        return Ok(WasiGeneration::P2);
    }
    if exports_any("wasi:http/handler@0.3.") {
        return Ok(WasiGeneration::P3);
    }
    let list = match exports {
        [] => "nothing".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    };
    Err(InspectError::WrongWorld(list))
}

fn refuse_unknown(imports: &[String], generation: WasiGeneration) -> Result<(), InspectError> {
    let mut report = String::new();
    for import in imports {
        let (interface, version) = import.split_once('@').unwrap_or((import, ""));
        let p2 = OFFERED_P2.contains(&interface);
        let p3 = generation == WasiGeneration::P3 && OFFERED_P3.contains(&interface);
        let fits = import == config::OFFERED
            || (p2 && version.starts_with("0.2.") && !version.contains('-'))
            || (p3 && version.starts_with("0.3.") && !version.contains('-'));
        if fits {
            continue;
        }
        report.push_str(&format!("\n  {import}: "));
        report.push_str(&match (p2, OFFERED_P3.contains(&interface)) {
            (true, true) => "this server offers it as 0.2.x, and as 0.3.x to components that export `wasi:http/handler@0.3.x`".to_owned(),
            (true, false) => "this server offers it as 0.2.x".to_owned(),
            (false, true) => "this server offers it as 0.3.x, to components that export `wasi:http/handler@0.3.x`".to_owned(),
            (false, false) if interface.starts_with("wasi:config/") => {
                format!("this server offers `{}`, and drafts fit only exactly", config::OFFERED)
            }
            (false, false) => format!("not offered; this server offers {}", neighbours(interface)),
        });
    }
    if report.is_empty() { Ok(()) } else { Err(InspectError::UnknownImports(report)) }
}

/// What is offered of the same package, or else the packages that are.
fn neighbours(interface: &str) -> String {
    let package = interface.split('/').next().unwrap_or_default();
    let same: Vec<&str> =
        OFFERED_P2.iter().filter(|offered| offered.split('/').next() == Some(package)).copied().collect();
    if same.is_empty() {
        format!(
            "wasi:cli, wasi:clocks, wasi:filesystem, wasi:http, wasi:io, wasi:random and wasi:sockets (0.2.x and 0.3.x), and {}",
            config::OFFERED
        )
    } else {
        same.join(", ")
    }
}
