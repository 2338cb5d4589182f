//! The limits that hold unless the app changes them, and those that nobody changes.
//!
//! The server has limits of its own, which an app asks for in its manifest: `[limits]` in `typecase.toml`.

use log::LevelFilter;

/// What arguments such as [`Json`](crate::Json) read of a body, in bytes: 2 MiB. Larger bodies are better streamed, and a
/// sandbox has 128 MiB unless its manifest asks for more. Changed with
/// [`App::body_bytes_max`](crate::App::body_bytes_max).
pub const BODY_BYTES_MAX: usize = 2 << 20;

/// What is logged: `Info` and above. Changed with [`App::log_level`](crate::App::log_level).
pub const LOG_LEVEL: LevelFilter = LevelFilter::Info;

/// The largest piece of a body that is read at once, in bytes: 64 KiB, enough that the calls to the server do not count.
pub const CHUNK_BYTES_MAX: usize = 64 << 10;
