//! The report of a failed call, for whoever wrote the app: what happened in the first line, where in those below it.

mod backtrace;
pub(crate) mod reporter;

use wasmtime::component::ResourceTableError;
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::error::{CallError, CallErrorKind, Ending, Interrupted};

impl CallError {
    /// Classifies what wasmtime returned from a guest's run.
    pub(crate) fn from_wasm(error: &wasmtime::Error, ending: &Ending) -> Self {
        let kind = if error.is::<Interrupted>() {
            CallErrorKind::CpuLimit
        } else if error.is::<wasmtime::PoolConcurrencyLimitError>() {
            CallErrorKind::Overloaded
        } else if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
            CallErrorKind::ResourceLimit
        } else if ending.memory_refused_mb.is_some() {
            CallErrorKind::MemoryLimit
        } else if error.is::<std::io::Error>() {
            // The kernel refused the sandbox something: say, one more mapping.
            CallErrorKind::Host
        } else {
            CallErrorKind::Trap
        };
        let trace = error.downcast_ref::<WasmBacktrace>().map(backtrace::calls);
        Self { kind, detail: what_happened(kind, error, ending), trace: trace.unwrap_or_default() }
    }
}

fn what_happened(kind: CallErrorKind, error: &wasmtime::Error, ending: &Ending) -> String {
    let said = ending.last_words.as_deref();
    match kind {
        CallErrorKind::MemoryLimit => {
            let limit_mb = ending.memory_refused_mb.unwrap_or_default();
            let said = said.map(|said| format!(": {said}")).unwrap_or_default();
            format!("out of memory, the limit is {limit_mb} MiB (`memory_mb`){said}")
        }
        CallErrorKind::ResourceLimit => {
            "holds as many streams, bodies and header sets as an instance may: drop them when they are done"
                .to_owned()
        }
        CallErrorKind::Trap => match (said, error.downcast_ref(), error.downcast_ref()) {
            (Some(said), _, _) => said.to_owned(),
            (None, Some(I32Exit(code)), _) => format!("ended its process with exit code {code}"),
            (None, None, Some(Trap::StackOverflow)) => {
                "call stack exhausted: it calls itself too deeply".to_owned()
            }
            (None, None, Some(Trap::UnreachableCodeReached)) => {
                "aborted without a word (wasm `unreachable`)".to_owned()
            }
            _ => root_cause(error),
        },
        CallErrorKind::Host => format!(
            "the system refused a sandbox what it needs: {}; `typecase doctor` tells what is too small",
            root_cause(error)
        ),
        _ => root_cause(error),
    }
}

fn root_cause(error: &wasmtime::Error) -> String {
    let text = error.root_cause().to_string();
    text.strip_prefix("wasm trap: ").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_refuses_is_not_the_guests_fault() {
        let refused = wasmtime::Error::from(std::io::Error::from_raw_os_error(12)).context("a new instance");
        let error = CallError::from_wasm(&refused, &Ending::default());
        assert_eq!(error.kind, CallErrorKind::Host);
        assert!(error.detail.contains("Cannot allocate memory"), "{error}");

        let trapped = wasmtime::Error::from(Trap::UnreachableCodeReached);
        assert_eq!(CallError::from_wasm(&trapped, &Ending::default()).kind, CallErrorKind::Trap);
    }
}
