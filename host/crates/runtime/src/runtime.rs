//! From a component's bytes to a loaded component: by this node's cache, or by compiling.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use metrics::{counter, histogram};
use tokio::sync::Semaphore;
use typecase_model::{AppName, Digest, Limits};
use wasmtime::Engine;
use wasmtime::component::{Component as WasmComponent, InstancePre, Linker};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::admission::Admission;
use crate::cache::CodeCache;
use crate::compile::{CompileError, CompilePolicy, Compiler};
use crate::component::{Component, Proxy};
use crate::config::{self, ReleaseConfig};
use crate::context::Context;
use crate::crash::reporter::{Reporter, SymbolReader};
use crate::engine::{self, CompileEffort, EngineKind, PoolSize, WasiGeneration};
use crate::labels::ComponentLabels;
use crate::log_sink::{AppLog, LogSink};
use crate::logging;
use crate::p2::P2;
use crate::p3::P3;
use crate::pace::{BeforeGuest, Pace};
use crate::state::{InstanceState, add_config_to_linker, add_streams_to_linker};
use crate::swap::may_be_swapped;

/// The operator's side of the runtime.
#[derive(Debug, Clone)]
pub struct RuntimePolicy {
    /// Instances of all apps that run at once; further requests wait.
    pub instances_max: u32,
    /// The most linear memory that any app's `memory_mb` may name.
    pub memory_mb_max: u32,
    pub compile: CompilePolicy,
    /// The private folder for compiled code; never on shared storage.
    pub cache: PathBuf,
    /// Told on each thread before a guest gets it.
    pub before_guest: BeforeGuest,
}

/// The engines, the compiler, and what all components of a node share.
pub struct Runtime {
    /// One of each kind.
    serving: [Serving; 4],
    compiler: Arc<Compiler>,
    symbols: SymbolReader,
    cache: CodeCache,
    node_slots: Arc<Semaphore>,
    idle_slots: Arc<Semaphore>,
    /// Where apps' output and failures go.
    log: LogSink,
    before_guest: BeforeGuest,
}

struct Serving {
    kind: EngineKind,
    engine: Engine,
    linker: Linker<InstanceState>,
    fingerprint: String,
}

/// Why a component cannot be made ready; the text is for the publisher.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error(transparent)]
    Compile(#[from] CompileError),
    #[error("the component does not fit this server's interfaces: {0}")]
    Link(String),
    #[error("this node's copy of the component is damaged")]
    Damaged,
    #[error("the node's cache of compiled code cannot be used: {0}")]
    Cache(#[from] std::io::Error),
}

impl Runtime {
    /// Makes the engines and their pools, and starts the ticker. Must be called on the control plane's runtime.
    pub fn new(policy: RuntimePolicy, log: LogSink) -> Result<Self, String> {
        let to_text = |error: wasmtime::Error| format!("{error:#}");
        let idle_max = policy.instances_max / 4 + 1;
        let may_be_swapped = may_be_swapped();
        if may_be_swapped {
            tracing::warn!(
                "the kernel may swap out this node's memory, so it cleans sandboxes the slow way; `typecase doctor` says how \
                 to change that"
            );
        }
        let size = PoolSize {
            instances_max: policy.instances_max + idle_max,
            memory_bytes_max: policy.memory_mb_max as usize * 1024 * 1024,
            keeps_pages: !may_be_swapped,
        };
        let effort = policy.compile.effort;
        let [first, second, third, fourth] =
            EngineKind::ALL.map(|kind| Serving::new(kind, effort, size).map_err(to_text));
        let serving = [first?, second?, third?, fourth?];
        engine::start_ticker(serving.iter().map(|serving| &serving.engine))
            .map_err(|error| error.to_string())?;
        let fingerprints: Vec<&str> = serving.iter().map(|serving| &*serving.fingerprint).collect();
        let cache = CodeCache::open(policy.cache.clone(), &fingerprints)
            .map_err(|error| format!("{}: {error}", policy.cache.display()))?;
        let compiler = Arc::new(Compiler::new(policy.compile));
        Ok(Self {
            serving,
            symbols: SymbolReader::new(compiler.clone()),
            compiler,
            cache,
            node_slots: Arc::new(Semaphore::new(policy.instances_max as usize)),
            idle_slots: Arc::new(Semaphore::new(idle_max as usize)),
            log,
            before_guest: policy.before_guest,
        })
    }

    /// Makes the component in the file at `path` ready: from this node's cache, or by compiling it.
    ///
    /// `digest` is the digest of that file. The file may hold a core module for WASI 0.1. Instances see the values
    /// of `config` at the moment when they are made.
    pub async fn prepare(
        &self,
        path: &Path,
        digest: Digest,
        generation_hint: Option<WasiGeneration>,
        labels: ComponentLabels,
        limits: Limits,
        config: Arc<ReleaseConfig>,
    ) -> Result<(Component, WasiGeneration), PrepareError> {
        // Only what was looked at once is compiled, so code that is there answers for its component.
        for serving in &self.serving {
            let generation = serving.kind.generation;
            if generation_hint.is_none_or(|hint| hint == generation)
                && let Some(code) = self.cached(&labels.app, digest, serving)
            {
                return Ok((self.link(code, path, serving, labels, limits, config)?, generation));
            }
        }
        let read = std::fs::read(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => PrepareError::Damaged,
            _ => error.into(),
        })?;
        if Digest::of(&read) != digest {
            return Err(PrepareError::Damaged);
        }
        drop(read);
        let (code, serving) = self.compile(&labels.app, path, digest).await?;
        Ok((self.link(code, path, serving, labels, limits, config)?, serving.kind.generation))
    }

    /// Also looks at components that are not to be compiled yet.
    pub fn compiler(&self) -> Arc<Compiler> {
        self.compiler.clone()
    }

    /// Removes a component's compiled code from this node's cache.
    pub fn forget(&self, digest: Digest) {
        for serving in &self.serving {
            self.cache.remove(&self.cache.code_path(&digest.hex(), &serving.fingerprint));
        }
    }

    fn serving(&self, kind: EngineKind) -> &Serving {
        let [first, others @ ..] = &self.serving;
        others.iter().find(|other| other.kind == kind).unwrap_or(first)
    }

    fn cached(&self, app: &AppName, digest: Digest, serving: &Serving) -> Option<WasmComponent> {
        let code = self.cache.code_path(&digest.hex(), &serving.fingerprint);
        if !self.cache.is_sealed(&code) {
            return None;
        }
        match serving.map_code(&code) {
            Ok(component) => {
                counter!("typecase_code_cache_hits_total", "app" => app.as_str().to_owned()).increment(1);
                Some(component)
            }
            Err(error) => {
                tracing::warn!(file = %code.display(), "compiled code is refused and made anew: {error:#}");
                self.cache.remove(&code);
                None
            }
        }
    }

    async fn compile(
        &self,
        app: &AppName,
        path: &Path,
        digest: Digest,
    ) -> Result<(WasmComponent, &Serving), PrepareError> {
        let unsealed = self.cache.unsealed_path(&digest.hex());
        let started = std::time::Instant::now();
        let serving = self.serving(self.compiler.compile(path, &unsealed).await?);
        let code = self.cache.code_path(&digest.hex(), &serving.fingerprint);
        self.cache.seal(&unsealed, &code)?;
        let took_s = started.elapsed().as_secs_f64();
        histogram!("typecase_compile_duration_seconds", "app" => app.as_str().to_owned()).record(took_s);
        let code = serving.map_code(&code).map_err(|error| PrepareError::Link(format!("{error:#}")))?;
        Ok((code, serving))
    }

    fn link(
        &self,
        code: WasmComponent,
        path: &Path,
        serving: &Serving,
        labels: ComponentLabels,
        limits: Limits,
        config: Arc<ReleaseConfig>,
    ) -> Result<Component, PrepareError> {
        let link_error = |error: wasmtime::Error| PrepareError::Link(format!("{error:#}"));
        let generation = serving.kind.generation;
        let pre: InstancePre<InstanceState> = serving.linker.instantiate_pre(&code).map_err(link_error)?;
        let config = config::is_imported(&code, &serving.engine).then_some(config);
        let idle_slots = self.idle_slots.clone();
        let engine = serving.engine.clone();
        let log = AppLog::new(labels, self.log.clone());
        let reporter = Reporter::new(log, self.symbols.clone(), path.to_owned());
        let pace = Pace::new(self.before_guest);
        let context = Context::new(reporter, limits, idle_slots, config, generation, engine, pace);
        let proxy = match generation {
            WasiGeneration::P2 => {
                Proxy::P2(Arc::new(P2::new(context.clone(), ProxyPre::new(pre).map_err(link_error)?)))
            }
            WasiGeneration::P3 => Proxy::P3(P3::new(&context, &ServicePre::new(pre).map_err(link_error)?)),
        };
        Ok(Component::new(context, Admission::new(&limits, self.node_slots.clone()), proxy))
    }
}

impl Serving {
    fn new(kind: EngineKind, effort: CompileEffort, size: PoolSize) -> wasmtime::Result<Self> {
        let engine = engine::serving_engine(kind, effort, size)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        add_streams_to_linker(&mut linker)?;
        add_config_to_linker(&mut linker)?;
        logging::add_to_linker(&mut linker)?;
        if kind.generation == WasiGeneration::P3 {
            wasmtime_wasi::p3::add_to_linker(&mut linker)?;
            wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        }
        let fingerprint = engine::fingerprint(&engine);
        Ok(Self { kind, engine, linker, fingerprint })
    }

    /// Maps native code; its pages are shared with the page cache until they are written to.
    #[allow(unsafe_code)]
    fn map_code(&self, code: &Path) -> wasmtime::Result<WasmComponent> {
        // SAFETY: only files whose seal was right come here: this node made them, in a folder that only
        // its user can enter.
        unsafe { WasmComponent::deserialize_file(&self.engine, code) }
    }
}
