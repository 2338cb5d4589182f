//! Runs published components in sandboxes: the only crate that names wasmtime.
//!
//! The way of a component through this crate, file by file: [`inspect`] looks at the uploaded bytes
//! without compiling them; [`compile`] has that done in a child process, which also makes native code; [`cache`] keeps it on
//! this node; `runtime` loads it; [`component`] answers requests with it, by way of `p2` or `p3`.
//! [`engine`] holds the engines, `state` what one instance owns, `places` how many reused ones there may be, `turns`
//! how guests that compute for long share a thread with those that do not, `pace` who they are, `swap` whether used
//! sandboxes can be cleaned the cheap way.

pub mod admission;
pub mod body;
pub mod cache;
pub mod compile;
pub mod component;
mod config;
mod context;
mod cpu;
mod crash;
pub mod engine;
pub mod error;
pub mod inspect;
mod labels;
mod log_sink;
mod logging;
mod outbound;
mod output;
mod p2;
mod p3;
mod pace;
mod places;
pub mod request;
mod runtime;
mod state;
mod swap;
mod turns;

pub use body::GuestBody;
pub use compile::{CompilePolicy, Compiler, InspectFailure};
pub use component::Component;
pub use config::ReleaseConfig;
pub use engine::{CompileEffort, MEMORIES_MAX, WasiGeneration};
pub use error::{CallError, CallErrorKind};
pub use inspect::{InspectError, Inspection, inspect};
pub use labels::ComponentLabels;
pub use log_sink::{
    APP_BYTES_PER_SECOND, LateEntries, LateEntry, LogQueue, LogSink, NoEntry, Received, log_queue,
};
pub use pace::BeforeGuest;
pub use request::{BodyFate, RequestBody};
pub use runtime::{PrepareError, Runtime, RuntimePolicy};
pub use swap::may_be_swapped;
