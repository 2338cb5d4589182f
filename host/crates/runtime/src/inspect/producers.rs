//! What a component says of the tools that made it.

use wasmparser::{CustomSectionReader, KnownCustom};

/// Puts the engine StarlingMonkey around JavaScript, which ends its event loop with its first request and hangs in the next.
const COMPONENTIZE_JS: &str = "ComponentizeJS";
/// Of a version, as far as people are told of it.
const VERSION_CHARS_MAX: usize = 20;

/// The tool, with its version, whose components answer one request in their life; none for all others.
pub fn single_use(section: &CustomSectionReader<'_>) -> Option<String> {
    let KnownCustom::Producers(fields) = section.as_known() else { return None };
    // A section that cannot be read says nothing: it does nothing, either.
    let values = fields.into_iter().flatten().filter(|field| field.name == "processed-by");
    let tool = values.flat_map(|field| field.values).flatten().find(|tool| tool.name == COMPONENTIZE_JS)?;
    let version: String = tool.version.chars().take(VERSION_CHARS_MAX).filter(|c| !c.is_control()).collect();
    Some(format!("{COMPONENTIZE_JS} {version}").trim_end().to_owned())
}
