//! What all calls of one component share: whose they are, their limits, and where failures are told.

use std::sync::Arc;

use metrics::counter;
use tokio::sync::Semaphore;
use typecase_model::Limits;
use wasmtime::{Engine, Store};

use crate::config::{ConfigSnapshot, ReleaseConfig};
use crate::cpu::CpuMeter;
use crate::crash::reporter::Reporter;
use crate::engine::WasiGeneration;
use crate::error::{CallError, CallErrorKind};
use crate::pace::Pace;
use crate::state::InstanceState;

pub(crate) struct Context {
    reporter: Arc<Reporter>,
    pub(crate) limits: Limits,
    /// The node's allowance of instances that wait for a request.
    pub(crate) idle_slots: Arc<Semaphore>,
    /// None when the component asks for no values.
    config: Option<Arc<ReleaseConfig>>,
    generation: WasiGeneration,
    engine: Engine,
    pub(crate) pace: Pace,
}

impl Context {
    pub(crate) fn new(
        reporter: Arc<Reporter>,
        limits: Limits,
        idle_slots: Arc<Semaphore>,
        config: Option<Arc<ReleaseConfig>>,
        generation: WasiGeneration,
        engine: Engine,
        pace: Pace,
    ) -> Arc<Self> {
        Arc::new(Self { reporter, limits, idle_slots, config, generation, engine, pace })
    }

    pub(crate) fn new_store(&self, request_id: Arc<str>, cpu: CpuMeter) -> Store<InstanceState> {
        let config = self.config.as_ref().map(|config| config.snapshot());
        let (log, before_guest) = (self.reporter.log.clone(), self.pace.before_guest());
        InstanceState::new_store(&self.engine, &self.limits, log, config, request_id, cpu, before_guest)
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

    pub(crate) async fn explain(&self, error: &CallError) -> String {
        self.reporter.report_in_full(error).await
    }

    /// Reports a failed call once, where it is known best; the client learns the kind and the request id.
    pub(crate) fn report(&self, error: &CallError, request_id: &Arc<str>) {
        let app = &self.reporter.log.labels.app;
        let (name, code) = (app.as_str().to_owned(), error.kind.code());
        counter!("typecase_call_failures_total", "app" => name, "code" => code).increment(1);
        if matches!(error.kind, CallErrorKind::Overloaded | CallErrorKind::ClientTimeout) {
            tracing::debug!(app.name = %app, request.id = &**request_id, "{error}");
            return;
        }
        self.reporter.tell(error, request_id);
    }
}
