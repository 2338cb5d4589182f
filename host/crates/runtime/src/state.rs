//! What one instance owns on the host's side, and the limits that hold for it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use typecase_model::Limits;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime::{ResourceLimiter, Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_config::{WasiConfig, WasiConfigVariables};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::config::ConfigSnapshot;
use crate::cpu::CpuMeter;
use crate::error::{Ending, Interrupted};
use crate::log_sink::AppLog;
use crate::outbound::Hooks;
use crate::output::{InstanceOutput, Stdio};
use crate::pace::BeforeGuest;
use crate::turns::Turns;

/// Handles an instance may hold: streams, bodies, fields, pollables.
const RESOURCES_MAX: usize = 10_000;

/// Memory the host allocates to lift the arguments of one call.
const HOSTCALL_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Size of one set of header fields that a guest makes.
const FIELDS_BYTES_MAX: usize = 64 * 1024;

/// Random bytes a guest may ask for in one call.
const RANDOM_BYTES_MAX: u64 = 1024 * 1024;

const INSTANCES_MAX: usize = 100;
const TABLE_ELEMENTS_MAX: usize = 100_000;

pub(crate) struct InstanceState {
    /// Made when the guest first asks for it: most requests need no clock, random number or stream.
    wasi: Option<Box<WasiCtx>>,
    http: WasiHttpCtx,
    hooks: Hooks,
    /// None for components that ask for none.
    pub(crate) config: Option<ConfigSnapshot>,
    table: ResourceTable,
    pub(crate) memory: MemoryLimiter,
    /// What the instance writes; made when it first may.
    output: Option<InstanceOutput>,
    pub(crate) cpu: CpuMeter,
    cpu_ms: u32,
    before_guest: BeforeGuest,
}

impl InstanceState {
    /// Makes the store of a new instance, with all of its limits set.
    pub(crate) fn new_store(
        engine: &wasmtime::Engine,
        limits: &Limits,
        log: Arc<AppLog>,
        config: Option<ConfigSnapshot>,
        request_id: Arc<str>,
        cpu: CpuMeter,
        before_guest: BeforeGuest,
    ) -> Store<Self> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELDS_BYTES_MAX);
        let memory = MemoryLimiter {
            left_bytes: u64::from(limits.memory_mb) * 1024 * 1024,
            refused: false,
            limit_mb: limits.memory_mb,
        };
        let state = Self {
            wasi: None,
            http,
            hooks: Hooks { log, request_id, told: false },
            config,
            table,
            memory,
            output: None,
            cpu,
            cpu_ms: limits.cpu_ms,
            before_guest,
        };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| {
            let state = context.data_mut();
            // Asked at ticks only: a guest that waited through many of them has not used them.
            if state.cpu.used() > Duration::from_millis(u64::from(state.cpu_ms)) {
                return Err(Interrupted { cpu_ms: state.cpu_ms }.into());
            }
            state.cpu.pause();
            let (cpu, turn) = (state.cpu.clone(), Turns::of_this_thread().next());
            let before_guest = state.before_guest;
            Ok(UpdateDeadline::YieldCustom(
                1,
                Box::pin(async move {
                    turn.await;
                    before_guest(true);
                    cpu.resume_exactly();
                }),
            ))
        });
        store
    }

    /// Starts the accounts of the next request of a reused instance.
    pub(crate) fn begin_request(&mut self, request_id: Arc<str>, cpu: CpuMeter) {
        self.cpu = cpu;
        self.memory.refused = false;
        if let Some(output) = &self.output {
            output.begin_request(request_id.clone());
        }
        self.hooks.request_id = request_id;
    }

    /// Where the instance writes.
    pub(crate) fn output(&mut self) -> &InstanceOutput {
        let hooks = &self.hooks;
        self.output.get_or_insert_with(|| InstanceOutput::new(hooks.log.clone(), hooks.request_id.clone()))
    }

    /// What the instance leaves behind that tells why it failed.
    pub(crate) fn ending(&self) -> Ending {
        Ending {
            memory_refused_mb: self.memory.refused.then_some(self.memory.limit_mb),
            last_words: self.output.as_ref().and_then(InstanceOutput::take_last_words),
        }
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        if self.wasi.is_none() {
            let output = self.output();
            let (stdout, stderr) = (Stdio::stdout(output), Stdio::stderr(output));
            let mut builder = WasiCtx::builder();
            builder.stdout(stdout).stderr(stderr).max_random_size(RANDOM_BYTES_MAX);
            self.wasi = Some(Box::new(builder.build()));
        }
        let ctx = self.wasi.get_or_insert_with(|| Box::new(WasiCtx::default()));
        WasiCtxView { ctx, table: &mut self.table }
    }
}

/// Streams need the table alone. wasmtime-wasi reaches it through the whole context, which would then be made
/// for every request.
pub(crate) fn add_streams_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    use wasmtime_wasi_io::bindings::wasi::io;

    struct Table;
    impl HasData for Table {
        type Data<'a> = &'a mut ResourceTable;
    }
    linker.allow_shadowing(true);
    io::error::add_to_linker::<_, Table>(linker, |state| &mut state.table)?;
    io::poll::add_to_linker::<_, Table>(linker, |state| &mut state.table)?;
    io::streams::add_to_linker::<_, Table>(linker, |state| &mut state.table)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The values of the instance; none for components that do not ask for them.
pub(crate) fn add_config_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    static NONE: LazyLock<WasiConfigVariables> = LazyLock::new(WasiConfigVariables::new);
    wasmtime_wasi_config::add_to_linker(linker, |state| {
        WasiConfig::from(state.config.as_deref().unwrap_or_else(|| &*NONE))
    })
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Holds all linear memories of one instance together under the app's limit.
pub(crate) struct MemoryLimiter {
    left_bytes: u64,
    /// Growth was refused once: if the guest then traps, this is why.
    pub(crate) refused: bool,
    limit_mb: u32,
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // What the module itself declares as its maximum is no limit of ours.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let wanted_bytes = desired.saturating_sub(current) as u64;
        if wanted_bytes > self.left_bytes {
            self.refused = true;
            return Ok(false);
        }
        self.left_bytes -= wanted_bytes;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }
}
