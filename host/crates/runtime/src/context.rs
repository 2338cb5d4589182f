//! What all calls of one component share: whose they are, their limits, and where failures are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;
use typecase_model::{EntryLevel, EntrySource, Limits};
use wasmtime::{Engine, Store};

use crate::config::{ConfigSnapshot, ReleaseConfig};
use crate::cpu::CpuMeter;
use crate::engine::WasiGeneration;
use crate::error::{CallError, CallErrorKind};
use crate::labels::ComponentLabels;
use crate::log_sink::{AppLog, LogSink, Words};
use crate::state::InstanceState;

pub(crate) struct Context {
    log: Arc<AppLog>,
    pub(crate) limits: Limits,
    /// The node's allowance of instances that wait for a request.
    pub(crate) idle_slots: Arc<Semaphore>,
    /// None when the component asks for no values.
    config: Option<Arc<ReleaseConfig>>,
    generation: WasiGeneration,
    engine: Engine,
    failures: AtomicU64,
}

impl Context {
    pub(crate) fn new(
        labels: ComponentLabels,
        log: LogSink,
        limits: Limits,
        idle_slots: Arc<Semaphore>,
        config: Option<Arc<ReleaseConfig>>,
        generation: WasiGeneration,
        engine: Engine,
    ) -> Arc<Self> {
        let failures = AtomicU64::new(0);
        let log = Arc::new(AppLog::new(labels, log));
        Arc::new(Self { log, limits, idle_slots, config, generation, engine, failures })
    }

    pub(crate) fn new_store(&self, request_id: Arc<str>, cpu: CpuMeter) -> Store<InstanceState> {
        let config = self.config.as_ref().map(|config| config.snapshot());
        InstanceState::new_store(&self.engine, &self.limits, self.log.clone(), config, request_id, cpu)
    }

    /// Whether an instance that took these values would take the same ones now.
    pub(crate) fn is_current(&self, taken: Option<&ConfigSnapshot>) -> bool {
        match (&self.config, taken) {
            (Some(config), Some(taken)) => config.is_current(taken),
            _ => true,
        }
    }

    /// True for instances that go on, and are ended, without regard to one request.
    pub(crate) fn outlives_its_requests(&self) -> bool {
        self.limits.reuse > 1 && self.generation == WasiGeneration::P3
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Reports a failed call once, where it is known best; the client learns the kind and the request id.
    pub(crate) fn report(&self, error: &CallError, request_id: &Arc<str>) {
        if matches!(error.kind, CallErrorKind::Overloaded | CallErrorKind::ClientTimeout) {
            let app = &self.log.labels.app;
            tracing::debug!(app.name = %app, request.id = &**request_id, "{error}");
            return;
        }
        self.failures.fetch_add(1, Ordering::Relaxed);
        let words = Words {
            level: EntryLevel::Error,
            source: EntrySource::Host,
            message: &error.detail,
            context: None,
            error_code: Some(error.kind.code()),
        };
        self.log.write(request_id, &words);
    }
}
