use super::*;

const P2_HANDLER: &str = "wasi:http/incoming-handler@0.2.4";
const P3_HANDLER: &str = "wasi:http/handler@0.3.0";

/// A component of empty interfaces: names are all that is looked at.
fn component(imports: &[&str], exports: &[&str]) -> Vec<u8> {
    let imports: String = imports.iter().map(|name| format!("(import \"{name}\" (instance))")).collect();
    let exports: String = exports.iter().map(|name| format!("(export \"{name}\" (instance $i))")).collect();
    wat::parse_str(format!("(component {imports} (instance $i) {exports})")).unwrap()
}

/// The refusal of a component that imports this.
fn refusal(import: &str, handler: &str) -> String {
    let component = component(&["wasi:io/poll@0.2.0", import], &[handler]);
    let error = inspect(&component).expect_err(import);
    assert_eq!(error.code(), "unknown-imports");
    let text = error.to_string();
    assert!(text.contains(import) && !text.contains("wasi:io/poll@"), "{text}");
    text
}

#[test]
fn what_is_offered_is_accepted_by_its_generation() {
    let both = ["wasi:http/types@0.2.12", "wasi:config/store@0.2.0-rc.1", "wasi:cli/stdout@0.2.3"];
    assert_eq!(inspect(&component(&both, &[P2_HANDLER])).unwrap().0.generation, WasiGeneration::P2);
    let inspection = component(&[&both[..], &["wasi:http/client@0.3.1"]].concat(), &[P3_HANDLER]);
    let (inspection, _) = inspect(&inspection).unwrap();
    assert_eq!((inspection.generation, inspection.imports.len()), (WasiGeneration::P3, 4));
}

#[test]
fn data_of_all_modules_counts_with_what_each_segment_costs() {
    let module = |data: &str| format!("(core module (memory 1) (data (i32.const 0) \"{data}\"))");
    let component = format!(
        "(component {} (component {}) (instance $i) (export \"{P2_HANDLER}\" (instance $i)))",
        module("eleven more"),
        module("five!"),
    );
    let component = wat::parse_str(component).unwrap();
    assert_eq!(inspect(&component).unwrap().0.data_bytes, 11 + 5 + 2 * SEGMENT_BYTES);
}

#[test]
fn imports_are_translated() {
    for (import, handler, says) in [
        (
            "wasi:config/store@0.2.0-draft",
            P2_HANDLER,
            "this server offers 0.2.0-rc.1, and drafts fit only exactly",
        ),
        ("wasi:logging/logging@0.1.0", P2_HANDLER, "this server offers 0.1.0-draft"),
        ("wasi:config/runtime@0.2.0-draft", P2_HANDLER, "offers `wasi:config/store@0.2.0-rc.1`"),
        ("wasi:runtime-config/store@0.2.0", P2_HANDLER, "older name of wasi:config"),
        ("wasi:http/types@0.3.0", P2_HANDLER, "as 0.3.x to components that export `wasi:http/handler@0.3.x`"),
        ("wasi:http/types@0.4.0", P2_HANDLER, "as 0.2.x, and as 0.3.x"),
        (
            "wasi:http/types@0.3.0-rc-2025-09-16",
            P3_HANDLER,
            "pre-release; this server offers the released 0.3.x:",
        ),
        ("wasi:io/streams@0.2.0-rc-2023-11-10", P2_HANDLER, "the released 0.2.x"),
        ("wasi:http/client@0.3.0", P2_HANDLER, "this server offers it as 0.3.x, to components"),
        (
            "wasi:http/strange@0.2.0",
            P2_HANDLER,
            "this server offers wasi:http/outgoing-handler, wasi:http/types",
        ),
        ("wasi:keyvalue/store@0.2.0-draft2", P2_HANDLER, "key-value stores are not offered yet"),
        ("fermyon:spin/variables@2.0.0", P2_HANDLER, "read through `wasi:config/store@0.2.0-rc.1`"),
        ("spin:variables/variables@3.0.0", P3_HANDLER, "Spin's variables"),
        ("fermyon:spin/key-value@2.0.0", P2_HANDLER, "key-value stores"),
        ("spin:postgres/postgres@4.2.0", P3_HANDLER, "databases are not offered yet"),
        ("spin:otel/thing@1.0.0", P3_HANDLER, "an interface of Spin alone"),
        ("wasmcloud:bus/lattice@1.0.0", P2_HANDLER, "wasmCloud alone"),
        ("acme:things/api@1.0.0", P2_HANDLER, "not offered; this server offers wasi:cli, wasi:clocks"),
        ("helper", P2_HANDLER, "an import of its own world"),
    ] {
        let text = refusal(import, handler);
        assert!(text.contains(says), "{says}\n-- {text}");
    }
}

#[test]
fn components_without_a_handler_are_told_how_to_get_one() {
    for (exports, says) in [
        (&[][..], "(it exports nothing). Export `wasi:http/incoming-handler@0.2.x`"),
        (&["wasi:cli/run@0.2.3"], "a program that runs once"),
        (&["wasi:http/incoming-handler@0.2.0-rc-2023-11-10"], "pre-release"),
        (&["wasi:http/handler@0.3.0-rc-2025-09-16"], "pre-release"),
        (&["fermyon:spin/inbound-http@2.0.0"], "update spin-sdk"),
        (&["fermyon:spin/inbound-redis"], "Spin's Redis trigger"),
        (&["wasmcloud:messaging/handler@0.2.0"], "It takes messages"),
    ] {
        let error = inspect(&component(&[], exports)).unwrap_err();
        assert_eq!(error.code(), "wrong-world");
        assert!(error.to_string().contains(says), "{says}\n-- {error}");
    }
    // A program that is a handler too.
    assert!(inspect(&component(&[], &["wasi:cli/run@0.2.3", P2_HANDLER])).is_ok());
}

#[test]
fn core_modules_are_told_apart_by_their_toolchain() {
    let import = |module: &str, name: &str| format!("(import \"{module}\" \"{name}\" (func))");
    for (module, says) in [
        (
            import("wbg", "__wbindgen_throw"),
            "made by wasm-bindgen could not be made into a component: it imports `__wbindgen_throw` of `wbg`. It is for a browser",
        ),
        (import("./app_bg.js", "log"), "made by wasm-bindgen"),
        (import("gojs", "runtime.wasmExit"), "TinyGo"),
        (import("env", "emscripten_memcpy_js"), "made by Emscripten"),
        (import("env", "abort") + "(memory (export \"memory\") 1)", "looks like AssemblyScript"),
        (import("fastly_http_req", "new"), "Fastly Compute"),
        (import("wasix_32v1", "futex_wait"), "a WASIX module"),
        (import("wasi_unstable", "fd_write"), "WASI of 2019"),
        (
            import("wasi_snapshot_preview1", "fd_write") + "(func (export \"_start\"))",
            "a program for WASI 0.1",
        ),
        (
            "(func (export \"add\"))".to_owned(),
            "no bindings that say what it imports and exports. Build it for `wasm32-wasip2`",
        ),
    ] {
        let module = wat::parse_str(format!("(module {module})")).unwrap();
        let error = inspect(&module).unwrap_err();
        assert_eq!(error.code(), "not-componentizable");
        assert!(error.to_string().contains(says), "{says}\n-- {error}");
    }
}

/// With bindings, as every toolchain for components writes them.
fn bound(module: &str, wit: &str) -> Vec<u8> {
    let mut module = wat::parse_str(module).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("a.wit", wit).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    wit_component::embed_component_metadata(
        &mut module,
        &resolve,
        world,
        wit_component::StringEncoding::UTF8,
    )
    .unwrap();
    module
}

#[test]
fn modules_with_bindings_are_made_into_components_or_told_what_they_lack() {
    let wit = "package a:b; world w { import f: func() -> string; }";
    let import = "(import \"$root\" \"f\" (func (param i32)))";
    let error = inspect(&bound(&format!("(module {import})"), wit)).unwrap_err();
    assert_eq!(error.code(), "not-componentizable");
    assert!(error.to_string().contains("It exports no memory"), "{error}");
    // A component it becomes; what it is then lacking is a handler.
    let realloc = "(func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) unreachable)";
    let module = format!("(module {import} (memory (export \"memory\") 1) {realloc})");
    let error = inspect(&bound(&module, wit)).unwrap_err();
    assert_eq!(error.code(), "wrong-world", "{error}");
}

#[test]
fn what_answers_one_request_in_its_life_is_known_by_its_maker() {
    let made_by = |tool: &str| {
        let mut component = component(&[], &[P2_HANDLER]);
        let text = |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
        let values = [text(tool), text("0.23.0")].concat();
        let section = [text("producers"), vec![1], text("processed-by"), vec![1], values].concat();
        component.extend([&[0, u8::try_from(section.len()).unwrap()][..], &section].concat());
        inspect(&component).unwrap().0.single_use
    };
    assert_eq!(made_by("ComponentizeJS").as_deref(), Some("ComponentizeJS 0.23.0"));
    assert_eq!(made_by("wit-component"), None);
}

#[test]
fn bytes_that_are_no_wasm_are_named() {
    for (bytes, says) in [
        (&b""[..], "it is empty"),
        (b"\0asm\x09\0\0\0", "not a WebAssembly component"),
        (b"(module)", "magic"),
    ] {
        let error = inspect(bytes).unwrap_err();
        assert_eq!(error.code(), "not-a-component");
        assert!(error.to_string().contains(says), "{error}");
    }
}
