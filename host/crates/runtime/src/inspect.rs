//! Looks at an uploaded component without compiling it: what it exports, what it imports, and whether
//! this server can serve it.
//!
//! Some components take minutes to look at, or more stack than there is. So servers do it in a child process, see
//! [`crate::compile`].

mod advice;
mod module;
mod offered;
mod producers;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};

use crate::engine::{EngineKind, InitialMemory, WasiGeneration};

/// Imports and exports a component may have at its top level; compilers produce a few dozen.
const NAMES_MAX: usize = 1_000;

/// What a segment of data costs besides its bytes, as if it were so much longer.
const SEGMENT_BYTES: u64 = 64;

/// Components within components.
const NESTING_MAX: usize = 100;

/// What was found in a component that can be served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    pub generation: WasiGeneration,
    pub imports: Vec<String>,
    /// The tool that made it, if an instance of such a component answers no second request.
    pub single_use: Option<String>,
    /// Bytes of the data segments of all its modules, passive ones too, with some for each segment.
    pub data_bytes: u64,
    /// It came as a core module.
    pub is_adapted: bool,
}

impl Inspection {
    /// The engine that suits the component.
    pub fn engine(&self) -> EngineKind {
        EngineKind { generation: self.generation, memory: InitialMemory::of_data(self.data_bytes) }
    }
}

/// Why a component cannot be served; each message says what to change.
#[derive(Debug, Clone, thiserror::Error, Serialize, Deserialize)]
pub enum InspectError {
    #[error(
        "this is not a WebAssembly component: {0}. Build for the target `wasm32-wasip2`, or wrap the module with `wasm-tools component new`"
    )]
    NotAComponent(String),
    #[error("{what} could not be made into a component: {detail}. {advice}")]
    NotComponentizable { what: Cow<'static, str>, detail: String, advice: Cow<'static, str> },
    #[error("the component exports no HTTP handler (it exports {list}). {advice}")]
    WrongWorld { list: String, advice: Cow<'static, str> },
    #[error("the component imports what this server does not offer:{0}")]
    UnknownImports(String),
}

impl InspectError {
    /// The stable code for problem reports.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAComponent(_) => "not-a-component",
            Self::NotComponentizable { .. } => "not-componentizable",
            Self::WrongWorld { .. } => "wrong-world",
            Self::UnknownImports(_) => "unknown-imports",
        }
    }
}

/// Checks uploaded bytes: a component with an HTTP handler, of which every import is offered.
///
/// A core module for WASI 0.1 that carries its component type is made into a component first. Gives back the component,
/// too.
pub fn inspect(bytes: &[u8]) -> Result<(Inspection, Cow<'_, [u8]>), InspectError> {
    let component = match encoding(bytes)? {
        Encoding::Component => Cow::Borrowed(bytes),
        Encoding::Module => Cow::Owned(module::componentize(bytes)?),
    };
    refuse_deep(&component)?;
    Validator::new_with_features(WasmFeatures::all())
        .validate_all(&component)
        .map_err(|error| InspectError::NotAComponent(error.to_string()))?;
    let Contents { imports, exports, single_use, data_bytes } = contents(&component)?;
    let generation = generation(&exports)?;
    refuse_unknown(&imports, generation)?;
    let is_adapted = matches!(component, Cow::Owned(_));
    Ok((Inspection { generation, imports, single_use, data_bytes, is_adapted }, component))
}

/// To validate such takes time that grows with the square of its depth.
fn refuse_deep(component: &[u8]) -> Result<(), InspectError> {
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING_MAX {
            let detail = format!("components are nested in it more than {NESTING_MAX} deep");
            return Err(InspectError::NotAComponent(detail));
        }
    }
    Ok(())
}

fn encoding(bytes: &[u8]) -> Result<Encoding, InspectError> {
    match Parser::new(0).parse_all(bytes).next() {
        _ if bytes.is_empty() => Err(InspectError::NotAComponent("it is empty".into())),
        Some(Ok(Payload::Version { encoding, .. })) => Ok(encoding),
        Some(Err(error)) => Err(InspectError::NotAComponent(error.to_string())),
        _ => Err(InspectError::NotAComponent("it has no beginning".into())),
    }
}

/// What stands at a component's top level, and how much data in its modules.
struct Contents {
    imports: Vec<String>,
    exports: Vec<String>,
    single_use: Option<String>,
    data_bytes: u64,
}

fn contents(component: &[u8]) -> Result<Contents, InspectError> {
    let malformed = |error: wasmparser::BinaryReaderError| InspectError::NotAComponent(error.to_string());
    let (mut imports, mut exports, mut single_use) = (Vec::new(), Vec::new(), None);
    let (mut depth, mut data_bytes) = (0, 0);
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
            Payload::DataSection(section) => {
                for segment in section {
                    data_bytes += segment.map_err(malformed)?.data.len() as u64 + SEGMENT_BYTES;
                }
            }
            Payload::CustomSection(section) if depth == 0 && single_use.is_none() => {
                single_use = producers::single_use(&section);
            }
            _ => {}
        }
        if imports.len() + exports.len() > NAMES_MAX {
            let detail = format!("it has more than {NAMES_MAX} imports and exports");
            return Err(InspectError::NotAComponent(detail));
        }
    }
    Ok(Contents { imports, exports, single_use, data_bytes })
}

fn generation(exports: &[String]) -> Result<WasiGeneration, InspectError> {
    let handler = |prefix: &str| exports.iter().find(|name| name.starts_with(prefix));
    if handler("wasi:http/incoming-handler@0.2.").is_some_and(|name| !is_prerelease(name)) {
        return Ok(WasiGeneration::P2);
    }
    if handler("wasi:http/handler@0.3.").is_some_and(|name| !is_prerelease(name)) {
        return Ok(WasiGeneration::P3);
    }
    let list = match exports {
        [] => "nothing".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    };
    Err(InspectError::WrongWorld { list, advice: advice::of_exports(exports).into() })
}

/// `0.3.0-rc-2025-09-16`: fits nothing but itself.
fn is_prerelease(name: &str) -> bool {
    name.split_once('@').is_some_and(|(_, version)| version.contains('-'))
}

fn refuse_unknown(imports: &[String], generation: WasiGeneration) -> Result<(), InspectError> {
    let unknown = imports.iter().filter(|import| !offered::is_offered(import, generation));
    let report: String =
        unknown.map(|import| format!("\n  {import}: {}", advice::of_import(import, generation))).collect();
    if report.is_empty() { Ok(()) } else { Err(InspectError::UnknownImports(report)) }
}

#[cfg(test)]
mod tests;
