//! Bundles: how they are packed, what makes an uploaded one acceptable, and how their assets are served.
//!
//! A bundle is a zip archive with `typecase.toml` at its root, the component as `component.wasm` and the
//! static files below `assets/`. Everything in an uploaded one is taken for hostile until [`check`] has
//! been through it. All functions here block; async callers move them to a thread for blocking work.

pub mod assets;
mod check;
mod error;
mod pack;
mod policy;

pub use assets::{Asset, AssetRequest, Assets, AssetsError};
pub use check::{CheckedBundle, check};
pub use error::BundleError;
pub use pack::{
    BUNDLE_BYTES_MAX, LargeFile, PackError, Packed, Plan, Written, pack, read_manifest, wrap_component,
};
pub use policy::BundlePolicy;

/// The folder of the static files in a bundle.
pub const BUNDLE_ASSETS: &str = "assets/";

/// Whether a file that starts with these bytes is meant to be a bundle.
pub fn is_zip(first_bytes: &[u8]) -> bool {
    // The second form is an archive without entries.
    first_bytes.starts_with(b"PK\x03\x04") || first_bytes.starts_with(b"PK\x05\x06")
}

/// Whether a file that starts with these bytes is meant to be WebAssembly, component or core module.
pub fn is_wasm(first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(b"\0asm")
}
