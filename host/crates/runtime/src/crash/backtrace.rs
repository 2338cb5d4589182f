//! A guest's backtrace as its author wants it: the app's own functions with file and line, and the libraries between
//! them; without the machinery above and below.

use std::fmt::Write as _;

use wasmtime::WasmBacktrace;

use crate::compile::dwarf::{Symbol, demangled};
use crate::error::Call;

/// Frames that are shown; deep recursion takes one.
const FRAMES_MAX: usize = 24;
/// Names of generic functions repeat the names of all their types.
const NAME_CHARS_MAX: usize = 160;

/// What is called by whoever called the guest, and what aborts: above or below every author's code.
const MACHINERY: [&str; 6] =
    ["export_handle", "_export_handle_cabi", "abort", "_start", "cabi_realloc", "__wasm_call_ctors"];

/// Crates of the standard library, as names without a file show them.
const STD: [&str; 7] = ["std", "core", "alloc", "__rustc", "panic_abort", "dlmalloc", "compiler_builtins"];

/// Crates that stand between the host and an app that is built on them.
const BINDINGS: [&str; 7] =
    ["wasi", "wasip2", "wasip3", "wit_bindgen", "wstd", "futures_util", "typecase_sdk"];

/// Folders of what was fetched, or is brought along as `typecase new` does with the SDK.
const LIBRARIES: [&str; 3] = ["/registry/src/", "/git/checkouts/", "/vendor/"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    App,
    Library,
    /// The standard library, and what connects a guest with its host.
    Machinery,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Frame {
    name: String,
    place: Option<String>,
    owner: Owner,
}

/// Innermost first.
pub(super) fn calls(trace: &WasmBacktrace) -> Vec<Call> {
    let calls = trace.frames().iter().map(|frame| Call {
        function: frame.func_name().map(str::to_owned),
        function_index: frame.func_index(),
        offset: frame.module_offset(),
    });
    calls.collect()
}

/// Each shown frame as a line that starts with a line end; what the source has at an offset is asked.
pub(super) fn lines<'a>(trace: &[Call], symbols: impl Fn(usize) -> &'a [Symbol]) -> String {
    let frames: Vec<Frame> =
        trace.iter().flat_map(|call| frames_of(call, call.offset.map_or(&[][..], &symbols))).collect();
    shown(&frames)
}

/// One frame of the machine is several of the source where functions were inlined, innermost first.
fn frames_of(call: &Call, symbols: &[Symbol]) -> Vec<Frame> {
    let function = call.function.as_deref().map(demangled);
    let outermost = symbols.len().saturating_sub(1);
    if symbols.is_empty() {
        let name = function.unwrap_or_else(|| format!("<wasm function {}>", call.function_index));
        return vec![frame(name, None)];
    }
    let of_symbol = |(index, symbol): (usize, &Symbol)| {
        // Debug information has short names; only the function that is really there has its full one elsewhere.
        let full = function.clone().filter(|name| index == outermost && name.contains("::"));
        let name = full.or_else(|| symbol.name.clone()).or_else(|| function.clone());
        let place = symbol.file.as_deref().map(|file| {
            let mut place = file.to_owned();
            if let Some(line) = symbol.line {
                let _ = write!(place, ":{line}");
                if let Some(column) = symbol.column {
                    let _ = write!(place, ":{column}");
                }
            }
            place
        });
        frame(name.unwrap_or_else(|| "<inlined function>".to_owned()), place)
    };
    symbols.iter().enumerate().map(of_symbol).collect()
}

fn frame(name: String, place: Option<String>) -> Frame {
    let owner = owner(&name, place.as_deref());
    let place = place.map(|place| without_registry(&place).to_owned());
    Frame { name, place, owner }
}

fn owner(name: &str, place: Option<&str>) -> Owner {
    let plain = name.trim_start_matches(['<', '&', '*', '(']).trim_start_matches("dyn ");
    let first = plain.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    if MACHINERY.contains(&first) || name.contains('#') && name.contains(':') && name.contains('/') {
        return Owner::Machinery;
    }
    match place {
        Some(place) if place.starts_with("/rustc/") || place.contains("/rustlib/src/") => Owner::Machinery,
        Some(place) if LIBRARIES.iter().any(|folder| place.contains(folder)) => Owner::Library,
        Some(_) if BINDINGS.contains(&first) => Owner::Library,
        Some(_) => Owner::App,
        None if STD.contains(&first) => Owner::Machinery,
        None if BINDINGS.contains(&first) => Owner::Library,
        None => Owner::App,
    }
}

/// `serde-1.0.0/src/lib.rs:1:1` for a file of a crate that was fetched.
fn without_registry(place: &str) -> &str {
    let Some((_, rest)) = place.split_once("/registry/src/") else { return place };
    rest.split_once('/').map_or(rest, |(_, rest)| rest)
}

fn shown(frames: &[Frame]) -> String {
    let worth = |frame: &&Frame| frame.owner != Owner::Machinery;
    // What the app was called by does not matter, what it called does.
    let end =
        frames.iter().rposition(|frame| frame.owner == Owner::App).map_or(frames.len(), |last| last + 1);
    let mut kept: Vec<&Frame> = frames[..end].iter().filter(worth).collect();
    if kept.is_empty() {
        kept = frames.iter().collect();
    }
    let mut text = String::new();
    let (mut lines, mut told) = (0, 0);
    let mut rest = &kept[..];
    while let [first, ..] = rest {
        if lines == FRAMES_MAX {
            break;
        }
        let times = rest.iter().take_while(|frame| *frame == first).count();
        text.push_str("\n    at ");
        text.extend(first.name.chars().take(NAME_CHARS_MAX));
        if let Some(place) = &first.place {
            let _ = write!(text, " ({place})");
        }
        if times > 1 {
            let _ = write!(text, ", {times} times");
        }
        (lines, told, rest) = (lines + 1, told + times, &rest[times..]);
    }
    if frames.len() > told {
        let _ = write!(text, "\n    (and {} of libraries and the runtime)", frames.len() - told);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(frames: &[(&str, &str)]) -> String {
        let frames: Vec<Frame> = frames
            .iter()
            .map(|(name, place)| {
                frame(demangled(name), Some(*place).filter(|p| !p.is_empty()).map(str::to_owned))
            })
            .collect();
        shown(&frames)
    }

    #[test]
    fn the_apps_own_functions_are_shown_with_what_they_called() {
        let registry = "/h/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f";
        let text = parsed(&[
            ("abort", ""),
            ("_ZN3std7process5abort17h0123456789abcdefE", "/rustc/5980/library/std/src/process.rs:1:5"),
            ("core::panicking::panic_fmt", "/rustc/5980/library/core/src/panicking.rs:80:14"),
            ("divide", &format!("{registry}/fraction-1.2.3/src/lib.rs:7:9")),
            ("shop::price", "/h/shop/src/lib.rs:12:5"),
            ("poll<F>", "/rustc/5980/library/core/src/future/future.rs:133:9"),
            ("shop::handle", "/h/shop/src/lib.rs:40:9"),
            ("_export_handle_cabi<shop::Shop>", &format!("{registry}/wasip2-2.0.1/src/proxy.rs:1:1")),
            ("export_handle", "/h/shop/src/lib.rs:1:1"),
        ]);
        assert_eq!(
            text,
            "
    at divide (fraction-1.2.3/src/lib.rs:7:9)
    at shop::price (/h/shop/src/lib.rs:12:5)
    at shop::handle (/h/shop/src/lib.rs:40:9)
    (and 6 of libraries and the runtime)"
        );
    }

    #[test]
    fn names_do_without_files() {
        let text = parsed(&[
            ("abort", ""),
            ("std::process::abort", ""),
            ("<alloc::boxed::Box<F> as core::ops::FnOnce>::call_once", ""),
            ("shop::price", ""),
            ("wasi:http/incoming-handler@0.2.12#handle", ""),
        ]);
        assert_eq!(text, "\n    at shop::price\n    (and 4 of libraries and the runtime)");
        // Where nothing is the app's, everything is better than nothing.
        assert_eq!(
            parsed(&[("abort", ""), ("std::process::abort", "")]),
            "\n    at abort\n    at std::process::abort"
        );
    }

    #[test]
    fn deep_recursion_takes_one_line() {
        let descend = ("shop::descend", "/h/shop/src/lib.rs:3:1");
        let mut frames = vec![descend; 19];
        frames.push(("shop::handle", "/h/shop/src/lib.rs:9:1"));
        let text = parsed(&frames);
        assert_eq!(
            text,
            "\n    at shop::descend (/h/shop/src/lib.rs:3:1), 19 times\n    at shop::handle (/h/shop/src/lib.rs:9:1)"
        );
        let many: Vec<(String, &str)> = (0..100).map(|n| (format!("shop::f{n}"), "/h/a.rs:1:1")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, place)| (name.as_str(), *place)).collect();
        assert_eq!(parsed(&many).lines().count(), FRAMES_MAX + 2);
    }
}
