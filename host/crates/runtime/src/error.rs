//! Why a call did not end in a response: whose fault it is, and what the client may be told.

use std::fmt;

/// A failed call. The kind is for the client, the detail for the app's log.
#[derive(Debug, Clone)]
pub struct CallError {
    pub kind: CallErrorKind,
    /// What happened; never shown to clients.
    pub detail: String,
    /// Where in the guest, if it ran.
    pub(crate) trace: Vec<Call>,
}

/// A function of the machine that had been called and had not returned.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) function: Option<String>,
    pub(crate) function_index: u32,
    /// Into the component's file.
    pub(crate) offset: Option<usize>,
}

/// What a failed instance leaves behind that tells why.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// It was refused more memory than this.
    pub(crate) memory_refused_mb: Option<u32>,
    /// What its language said of the failure.
    pub(crate) last_words: Option<String>,
}

/// The kinds of failure that a client can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallErrorKind {
    /// The guest trapped or panicked.
    Trap,
    /// The guest asked for more memory than its limit and then gave up.
    MemoryLimit,
    /// The guest holds as many streams, bodies and header sets as it may.
    ResourceLimit,
    /// The guest computed for longer than `cpu_ms`.
    CpuLimit,
    /// The guest did not answer within `timeout_ms`.
    Timeout,
    /// The client did not send its request's body in time, and the guest waited for it.
    ClientTimeout,
    /// The guest returned without an answer, or with an error code.
    NoResponse,
    /// The app's or the node's queue is full, or waiting in it took too long.
    Overloaded,
    /// The client's request cannot be given to a component.
    BadRequest,
    /// The host failed.
    Host,
}

impl CallErrorKind {
    /// The stable code that clients, logs and metrics carry.
    pub fn code(self) -> &'static str {
        match self {
            Self::Trap => "guest-trap",
            Self::MemoryLimit => "memory-limit",
            Self::ResourceLimit => "resource-limit",
            Self::CpuLimit => "cpu-limit",
            Self::Timeout => "guest-timeout",
            Self::ClientTimeout => "client-timeout",
            Self::NoResponse => "no-response",
            Self::Overloaded => "overloaded",
            Self::BadRequest => "bad-request",
            Self::Host => "host-error",
        }
    }
}

impl CallError {
    /// A failure outside of the guest.
    pub fn new(kind: CallErrorKind, detail: impl fmt::Display) -> Self {
        Self { kind, detail: detail.to_string(), trace: Vec::new() }
    }

    pub(crate) fn timed_out(timeout_ms: u32) -> Self {
        Self::new(CallErrorKind::Timeout, format!("no response within {timeout_ms} ms (`timeout_ms`)"))
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.code(), self.detail)
    }
}

impl std::error::Error for CallError {}

/// The trap that ends a guest whose computing time is used up.
#[derive(Debug)]
pub(crate) struct Interrupted {
    pub cpu_ms: u32,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "computed for longer than its limit of {} ms (`cpu_ms`)", self.cpu_ms)
    }
}

impl std::error::Error for Interrupted {}
