//! `wasi:logging`: messages with a level, straight into the app's log.

use typecase_model::EntryLevel;
use wasmtime::component::{HasSelf, Linker};

use crate::state::InstanceState;

/// The one version that exists; those of a draft match only exactly.
pub(crate) const OFFERED: &str = "wasi:logging/logging@0.1.0-draft";

mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "wasi:logging/imports",
        imports: { default: trappable },
    });
}

use bindings::wasi::logging::logging::{self, Level};

impl logging::Host for InstanceState {
    fn log(&mut self, level: Level, context: String, message: String) -> wasmtime::Result<()> {
        let level = match level {
            Level::Trace => EntryLevel::Trace,
            Level::Debug => EntryLevel::Debug,
            Level::Info => EntryLevel::Info,
            Level::Warn => EntryLevel::Warn,
            Level::Error => EntryLevel::Error,
            Level::Critical => EntryLevel::Critical,
        };
        self.output().log(level, &context, &message);
        Ok(())
    }
}

pub(crate) fn add_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    logging::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}
