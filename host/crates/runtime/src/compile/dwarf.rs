//! Reads a component's debug information, in a child process: whoever wrote it decides how long that takes, and how deep
//! the reader's stack becomes.

use std::collections::HashMap;
use std::ops::Range;

use addr2line::gimli::{self, EndianSlice, LittleEndian};
use serde::{Deserialize, Serialize};
use wasmparser::{Parser, Payload};

/// Functions that were inlined into each other at one place.
const INLINED_MAX: usize = 16;
/// Of a name that can be read, and of a file's.
const TEXT_CHARS_MAX: usize = 256;

/// One function of the source at a place in the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Symbol {
    pub(crate) name: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) column: Option<u32>,
}

/// A core module within a component.
struct Module<'a> {
    range: Range<usize>,
    /// DWARF counts from here.
    code_start: usize,
    sections: HashMap<&'a str, &'a [u8]>,
}

type Context<'a> = addr2line::Context<EndianSlice<'a, LittleEndian>>;

/// The functions at each offset into the component's file, innermost first; fails if no module has debug information.
pub(crate) fn symbols(component: &[u8], offsets: &[usize]) -> Result<Vec<Vec<Symbol>>, String> {
    let modules = modules(component)?;
    if modules.iter().all(|module| module.sections.is_empty()) {
        return Err("the component has no debug information".into());
    }
    let contexts: Vec<Option<Context<'_>>> = modules.iter().map(context).collect();
    let at = |offset: &usize| {
        let found = modules.iter().zip(&contexts).find(|(module, _)| module.range.contains(offset));
        let (module, context) = found?;
        let address = offset.checked_sub(module.code_start)? as u64;
        Some(functions(context.as_ref()?, address))
    };
    Ok(offsets.iter().map(|offset| at(offset).unwrap_or_default()).collect())
}

fn modules(component: &[u8]) -> Result<Vec<Module<'_>>, String> {
    let mut modules: Vec<Module<'_>> = Vec::new();
    let mut is_within = false;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|error| error.to_string())? {
            Payload::ModuleSection { unchecked_range: range, .. } => {
                is_within = true;
                modules.push(Module { range, code_start: usize::MAX, sections: HashMap::new() });
            }
            Payload::End(_) => is_within = false,
            Payload::CodeSectionStart { range, .. } if is_within => {
                modules.last_mut().ok_or("code without a module")?.code_start = range.start;
            }
            Payload::CustomSection(section) if is_within && section.name().starts_with(".debug_") => {
                let module = modules.last_mut().ok_or("a section without a module")?;
                module.sections.insert(section.name(), section.data());
            }
            _ => {}
        }
    }
    Ok(modules)
}

fn context<'a>(module: &Module<'a>) -> Option<Context<'a>> {
    let section = |id: gimli::SectionId| {
        let bytes = module.sections.get(id.name()).copied().unwrap_or_default();
        Ok::<_, gimli::Error>(EndianSlice::new(bytes, LittleEndian))
    };
    Context::from_dwarf(gimli::Dwarf::load(section).ok()?).ok()
}

/// What is malformed ends the list.
fn functions(context: &Context<'_>, address: u64) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    let Ok(mut frames) = context.find_frames(address).skip_all_loads() else {
        return symbols;
    };
    while symbols.len() < INLINED_MAX
        && let Ok(Some(frame)) = frames.next()
    {
        let cut = |text: &str| text.chars().take(TEXT_CHARS_MAX).collect::<String>();
        let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
        let name = name.map(|name| cut(&demangled(&name)));
        let location = frame.location.as_ref();
        symbols.push(Symbol {
            name,
            file: location.and_then(|location| location.file).map(cut),
            line: location.and_then(|location| location.line),
            column: location.and_then(|location| location.column),
        });
    }
    symbols
}

/// The name as its author wrote it.
pub(crate) fn demangled(name: &str) -> String {
    // Debug information has no better name for these: `{closure#0}`, `{async_fn#0}`, `{async_block#0}`.
    if let Some((unnamed, _)) = name.strip_prefix('{').and_then(|rest| rest.split_once('#')) {
        return unnamed.replace('_', " ");
    }
    // Without the hashes that tell versions of a crate apart.
    format!("{:#}", rustc_demangle::demangle(name))
}
