//! Components that cannot be served, and what their authors are told.

use super::assert_text;
use super::sandbox::Sandbox;

/// A component with these imports and exports, all of them empty.
fn component(imports: &[&str], exports: &[&str]) -> String {
    let imports: String = imports.iter().map(|name| format!("(import \"{name}\" (instance))")).collect();
    let exports: String = exports.iter().map(|name| format!("(export \"{name}\" (instance $i))")).collect();
    format!("(component {imports} (instance $i) {exports})")
}

fn importing(imports: &[&str]) -> String {
    component(imports, &["wasi:http/incoming-handler@0.2.4"])
}

fn module(import: (&str, &str)) -> String {
    format!("(module (import \"{}\" \"{}\" (func)) (memory (export \"memory\") 1))", import.0, import.1)
}

fn cases() -> Vec<(&'static str, String)> {
    vec![
        ("exports nothing", component(&[], &[])),
        ("a program", component(&["wasi:cli/environment@0.2.3"], &["wasi:cli/run@0.2.3"])),
        ("a handler of a pre-release", component(&[], &["wasi:http/handler@0.3.0-rc-2025-09-16"])),
        ("an old Spin trigger", component(&[], &["fermyon:spin/inbound-http"])),
        ("a wasmCloud actor", component(&[], &["wasmcloud:messaging/handler@0.2.0"])),
        ("another draft", importing(&["wasi:config/store@0.2.0-draft", "wasi:logging/logging@0.1.0"])),
        (
            "key-value and blobs",
            importing(&["wasi:keyvalue/store@0.2.0-draft2", "wasi:blobstore/blobstore@0.2.0-draft"]),
        ),
        ("the next generation", importing(&["wasi:http/types@0.3.0", "wasi:http/client@0.3.0"])),
        ("a pre-release", importing(&["wasi:io/streams@0.2.0-rc-2023-11-10"])),
        (
            "Spin's interfaces",
            importing(&[
                "fermyon:spin/variables@2.0.0",
                "fermyon:spin/sqlite@2.0.0",
                "fermyon:spin/llm@2.0.0",
            ]),
        ),
        ("somebody's interface", importing(&["acme:things/api@1.0.0", "helper"])),
        ("a known package's unknown part", importing(&["wasi:http/proxy-config@0.2.0"])),
        ("wasm-bindgen", module(("wbg", "__wbindgen_throw"))),
        ("Emscripten", module(("env", "emscripten_notify_memory_growth"))),
        ("Go for a browser", module(("gojs", "runtime.wasmExit"))),
        ("AssemblyScript", module(("env", "abort"))),
        ("WASIX", module(("wasix_32v1", "futex_wait"))),
        ("a bare module", "(module (func (export \"add\")))".to_owned()),
        (
            "a program for WASI 0.1",
            "(module (import \"wasi_snapshot_preview1\" \"fd_write\" (func)) (func (export \"_start\")))"
                .to_owned(),
        ),
    ]
}

#[tokio::test]
async fn wrong_components() {
    let sandbox = Sandbox::new();
    let mut text = String::new();
    for (what, wat) in cases() {
        sandbox.file("app.wasm", &wat::parse_str(&wat).unwrap());
        text.push_str(&format!("== {what}\n{}", sandbox.run("check app.wasm --name hello --offline").await));
    }
    assert_eq!(text.matches("[exit 1]").count(), cases().len(), "{text}");
    assert_text("wrong_components", &text);
}
