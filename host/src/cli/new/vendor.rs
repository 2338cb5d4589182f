//! What projects are built with and is in no registry yet: they get a copy.

use super::template::Brings;

/// In the project; its Cargo.toml names it.
const SDK_FOLDER: &str = "vendor/typecase-sdk";
/// In the project; its build.mjs names it.
const WIT_FOLDER: &str = "wit";

macro_rules! sources {
    ($folder:literal: $($path:literal)*) => {
        &[$(($path, include_str!(concat!("../../../../sdk/", $folder, "/", $path)))),*]
    };
}

/// All of the crate but its tests.
const SDK: &[(&str, &str)] = sources!(
    "rust":
    "Cargo.toml" "README.md" "src/app.rs" "src/body.rs" "src/body_writer.rs" "src/config.rs" "src/error.rs"
    "src/handler.rs" "src/heap.rs" "src/heap/tests.rs" "src/json.rs" "src/lib.rs" "src/limits.rs" "src/logger.rs" "src/params.rs"
    "src/params/deserializer.rs" "src/platform.rs" "src/platform/allocator.rs" "src/platform/bindings.rs" "src/platform/imports.rs" "src/platform/instance.rs"
    "src/platform/native.rs" "src/platform/p2.rs" "src/platform/p2/body.rs" "src/platform/p2/executor.rs" "src/platform/p2/respond.rs"
    "src/platform/p3.rs" "src/platform/p3/body.rs" "src/platform/p3/respond.rs" "src/platform/stdio.rs" "src/query.rs" "src/request.rs"
    "src/response.rs" "src/serve.rs" "src/source.rs" "src/sse.rs" "src/testing.rs" "src/time.rs"
);

const WIT: &[(&str, &str)] = sources!(
    "wit":
    "README.md" "deps/cli.wit" "deps/clocks.wit" "deps/config.wit" "deps/http.wit" "deps/io.wit" "deps/logging.wit"
    "deps/random.wit" "world.wit"
);

const LICENSE: &str = include_str!("../../../../LICENSE");

pub fn files(what: Brings) -> Vec<(String, String)> {
    let (folder, sources) = match what {
        Brings::Nothing => return Vec::new(),
        Brings::Sdk => (SDK_FOLDER, SDK),
        Brings::Wit => (WIT_FOLDER, WIT),
    };
    let with_license = sources.iter().copied().chain([("LICENSE", LICENSE)]);
    with_license.map(|(path, text)| (format!("{folder}/{path}"), text.to_owned())).collect()
}

#[cfg(test)]
pub fn paths() -> [(&'static str, Vec<&'static str>); 2] {
    [("rust", SDK), ("wit", WIT)]
        .map(|(folder, sources)| (folder, sources.iter().map(|(path, _)| *path).collect()))
}
