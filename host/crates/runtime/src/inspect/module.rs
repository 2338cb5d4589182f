//! Core modules: made into components where they carry what that takes, else recognised by the marks that their
//! toolchains leave, so that the refusal can say what to do with this one.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Parser, Payload};

use super::InspectError;

/// Enough to see whose module it is.
const NAMES_MAX: usize = 1_000;

const USE_P2: &str = "Build it for `wasm32-wasip2`, or with bindings for the `wasi:http/proxy` world";

/// A core module for WASI 0.1 that carries its component type, as a component.
pub(super) fn componentize(module: &[u8]) -> Result<Vec<u8>, InspectError> {
    let marks = Marks::of(module);
    if let Some((what, detail, advice)) = marks.foreign() {
        return Err(InspectError::NotComponentizable { what: what.into(), detail, advice: advice.into() });
    }
    let encode = || {
        wit_component::ComponentEncoder::default()
            .validate(true)
            .module(module)?
            .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
            .encode()
    };
    encode().map_err(|error| {
        let advice = if marks.has_memory {
            USE_P2
        } else {
            "It exports no memory, which a component needs: link it with `--export-memory`, or build it for `wasm32-wasip2`"
        };
        InspectError::NotComponentizable {
            what: "this core module".into(),
            detail: format!("{error:#}"),
            advice: advice.into(),
        }
    })
}

/// What tells toolchains apart.
#[derive(Default)]
struct Marks {
    /// Modules and fields.
    imports: Vec<(String, String)>,
    exports: Vec<String>,
    has_memory: bool,
    has_component_type: bool,
}

impl Marks {
    fn of(module: &[u8]) -> Self {
        let mut marks = Self::default();
        // What cannot be read is told by whoever tries to make a component of it.
        for payload in Parser::new(0).parse_all(module).map_while(Result::ok) {
            match payload {
                Payload::ImportSection(section) => {
                    for import in section.into_imports().map_while(Result::ok).take(NAMES_MAX) {
                        marks.imports.push((import.module.to_owned(), import.name.to_owned()));
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section.into_iter().map_while(Result::ok).take(NAMES_MAX) {
                        marks.has_memory |= export.kind == wasmparser::ExternalKind::Memory;
                        marks.exports.push(export.name.to_owned());
                    }
                }
                Payload::CustomSection(section) => {
                    marks.has_component_type |= section.name().starts_with("component-type");
                }
                _ => {}
            }
        }
        marks
    }

    /// What it is, why it cannot be served, and what to do.
    fn foreign(&self) -> Option<(&'static str, String, &'static str)> {
        let from = |test: &dyn Fn(&str) -> bool| self.imports.iter().find(|(module, _)| test(module));
        let env = |prefixes: &[&str]| {
            let by_name = |name: &String| prefixes.iter().any(|prefix| name.starts_with(prefix));
            self.imports.iter().find(|(module, name)| module == "env" && by_name(name))
        };
        let imports = |(module, name): &(String, String)| format!("it imports `{name}` of `{module}`");

        let is_bindgen =
            |module: &str| module == "wbg" || module.starts_with("__wbindgen") || module.ends_with("_bg.js");
        if let Some(import) = from(&is_bindgen) {
            return Some((
                "a module made by wasm-bindgen",
                imports(import),
                "It is for a browser: build with the target `wasm32-wasip2`, without wasm-bindgen and wasm-pack",
            ));
        }
        if let Some(import) = from(&|module| matches!(module, "go" | "gojs")) {
            return Some((
                "a Go module for a browser",
                imports(import),
                "Build it with TinyGo, `tinygo build -target=wasip2`, rather than `GOOS=js GOARCH=wasm`",
            ));
        }
        if let Some(import) = env(&["emscripten_", "_emscripten_", "__syscall_", "invoke_"]) {
            return Some((
                "a module made by Emscripten",
                imports(import),
                "It needs Emscripten's own JavaScript: build it with wasi-sdk, `clang --target=wasm32-wasip2`",
            ));
        }
        if let Some(import) = env(&["abort", "seed"])
            && self.exports.iter().any(|name| name == "__new" || name == "__pin" || name == "memory")
            && !self.has_component_type
        {
            return Some((
                "a module that looks like AssemblyScript",
                imports(import),
                "AssemblyScript does not make components: write the app in TypeScript instead, with componentize-js",
            ));
        }
        if let Some(import) = from(&|module| module.starts_with("fastly_")) {
            return Some((
                "a module for Fastly Compute",
                imports(import),
                "Its host functions exist only there: build the app against `wasi:http`",
            ));
        }
        if let Some(import) = from(&|module| module.starts_with("wasix_")) {
            return Some((
                "a WASIX module",
                imports(import),
                "WASIX exists only in Wasmer: build it for `wasm32-wasip2`",
            ));
        }
        if let Some(import) = from(&|module| module == "wasi_unstable") {
            return Some((
                "a module for the WASI of 2019",
                imports(import),
                "Its toolchain is too old: build it with a current one, for `wasm32-wasip2`",
            ));
        }
        if self.has_component_type {
            return None;
        }
        // Nothing in it says how it takes requests.
        let is_command = self.exports.iter().any(|name| name == "_start");
        Some(match is_command {
            true => (
                "a program for WASI 0.1",
                "it has a `main` and no HTTP handler".to_owned(),
                "Here an app answers requests: in Rust, make it a library (`crate-type = [\"cdylib\"]`) or use `#[wstd::http_server]`, and build for `wasm32-wasip2`",
            ),
            false => (
                "this core module",
                "it has no bindings that say what it imports and exports".to_owned(),
                USE_P2,
            ),
        })
    }
}
