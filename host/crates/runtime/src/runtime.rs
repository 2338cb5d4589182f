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
use crate::compile::{CompileError, CompilePolicy, Compiler, Unfinished};
use crate::component::{Component, Proxy};
use crate::config::{self, ReleaseConfig};
use crate::context::Context;
use crate::engine::{self, CompileEffort, PoolSize, WasiGeneration};
use crate::inspect::{InspectError, inspect};
use crate::labels::ComponentLabels;
use crate::log_sink::{AppLog, LogSink};
use crate::logging;
use crate::p2::P2;
use crate::p3::P3;
use crate::pace::{BeforeGuest, Pace};
use crate::state::{InstanceState, add_config_to_linker, add_streams_to_linker};

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
    p2: Serving,
    p3: Serving,
    compiler: Compiler,
    cache: CodeCache,
    node_slots: Arc<Semaphore>,
    idle_slots: Arc<Semaphore>,
    /// Where apps' output and failures go.
    log: LogSink,
    before_guest: BeforeGuest,
}

struct Serving {
    engine: Engine,
    linker: Linker<InstanceState>,
    fingerprint: String,
}

/// Why a component cannot be made ready; the text is for the publisher.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error(transparent)]
    Inspect(#[from] InspectError),
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
    /// Makes both engines and their pools, and starts the ticker.
    pub fn new(policy: RuntimePolicy, log: LogSink) -> Result<Self, String> {
        let to_text = |error: wasmtime::Error| format!("{error:#}");
        let idle_max = policy.instances_max / 4 + 1;
        let size = PoolSize {
            instances_max: policy.instances_max + idle_max,
            memory_bytes_max: policy.memory_mb_max as usize * 1024 * 1024,
        };
        let effort = policy.compile.effort;
        let p2 = Serving::new(WasiGeneration::P2, effort, size).map_err(to_text)?;
        let p3 = Serving::new(WasiGeneration::P3, effort, size).map_err(to_text)?;
        engine::start_ticker([&p2.engine, &p3.engine]).map_err(|error| error.to_string())?;
        let cache = CodeCache::open(policy.cache.clone(), [&p2.fingerprint, &p3.fingerprint])
            .map_err(|error| format!("{}: {error}", policy.cache.display()))?;
        Ok(Self {
            p2,
            p3,
            compiler: Compiler::new(policy.compile),
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
        let generations = [WasiGeneration::P2, WasiGeneration::P3];
        for generation in
            generations.into_iter().filter(|other| generation_hint.is_none_or(|hint| hint == *other))
        {
            if let Some(code) = self.cached(&labels.app, digest, generation) {
                return Ok((self.link(code, generation, labels, limits, config)?, generation));
            }
        }
        let read = std::fs::read(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => PrepareError::Damaged,
            _ => error.into(),
        })?;
        if Digest::of(&read) != digest {
            return Err(PrepareError::Damaged);
        }
        let inspection = inspect(&read)?;
        let generation = inspection.generation;
        let code = match self.cached(&labels.app, digest, generation) {
            Some(code) => code,
            None => self.compile(&labels.app, path, digest, &inspection.component, generation).await?,
        };
        Ok((self.link(code, generation, labels, limits, config)?, generation))
    }

    /// Removes a component's compiled code from this node's cache.
    pub fn forget(&self, digest: Digest) {
        for serving in [&self.p2, &self.p3] {
            self.cache.remove(&self.cache.code_path(&digest.hex(), &serving.fingerprint));
        }
    }

    fn serving(&self, generation: WasiGeneration) -> &Serving {
        match generation {
            WasiGeneration::P2 => &self.p2,
            WasiGeneration::P3 => &self.p3,
        }
    }

    fn cached(&self, app: &AppName, digest: Digest, generation: WasiGeneration) -> Option<WasmComponent> {
        let serving = self.serving(generation);
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
        component: &[u8],
        generation: WasiGeneration,
    ) -> Result<WasmComponent, PrepareError> {
        let serving = self.serving(generation);
        let code = self.cache.code_path(&digest.hex(), &serving.fingerprint);
        let unsealed = self.cache.unsealed_path(&digest.hex());
        let started = std::time::Instant::now();
        // A core module was made into a component in memory: the child needs it in a file.
        let made = component.first_chunk::<8>() != file_head(path)?.as_ref();
        let compiled = if made {
            let input = unsealed.with_extension("component.unsealed");
            let _removed = Unfinished(Some(&input));
            std::fs::write(&input, component)?;
            self.compiler.compile(generation, &input, &unsealed).await
        } else {
            self.compiler.compile(generation, path, &unsealed).await
        };
        compiled?;
        self.cache.seal(&unsealed, &code)?;
        let took_s = started.elapsed().as_secs_f64();
        histogram!("typecase_compile_duration_seconds", "app" => app.as_str().to_owned()).record(took_s);
        serving.map_code(&code).map_err(|error| PrepareError::Link(format!("{error:#}")))
    }

    fn link(
        &self,
        code: WasmComponent,
        generation: WasiGeneration,
        labels: ComponentLabels,
        limits: Limits,
        config: Arc<ReleaseConfig>,
    ) -> Result<Component, PrepareError> {
        let link_error = |error: wasmtime::Error| PrepareError::Link(format!("{error:#}"));
        let serving = self.serving(generation);
        let pre: InstancePre<InstanceState> = serving.linker.instantiate_pre(&code).map_err(link_error)?;
        let config = config::is_imported(&code, &serving.engine).then_some(config);
        let idle_slots = self.idle_slots.clone();
        let (log, engine) = (AppLog::new(labels, self.log.clone()), serving.engine.clone());
        let pace = Pace::new(self.before_guest);
        let context = Context::new(log, limits, idle_slots, config, generation, engine, pace);
        let proxy = match generation {
            WasiGeneration::P2 => {
                Proxy::P2(Arc::new(P2::new(context.clone(), ProxyPre::new(pre).map_err(link_error)?)))
            }
            WasiGeneration::P3 => Proxy::P3(P3::new(&context, &ServicePre::new(pre).map_err(link_error)?)),
        };
        Ok(Component::new(context, Admission::new(&limits, self.node_slots.clone()), proxy))
    }
}

fn file_head(path: &Path) -> std::io::Result<Option<[u8; 8]>> {
    use std::io::Read;
    let mut head = [0; 8];
    match std::fs::File::open(path)?.read_exact(&mut head) {
        Ok(()) => Ok(Some(head)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

impl Serving {
    fn new(generation: WasiGeneration, effort: CompileEffort, size: PoolSize) -> wasmtime::Result<Self> {
        let engine = engine::serving_engine(generation, effort, size)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        add_streams_to_linker(&mut linker)?;
        add_config_to_linker(&mut linker)?;
        logging::add_to_linker(&mut linker)?;
        if generation == WasiGeneration::P3 {
            wasmtime_wasi::p3::add_to_linker(&mut linker)?;
            wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        }
        let fingerprint = engine::fingerprint(&engine);
        Ok(Self { engine, linker, fingerprint })
    }

    /// Maps native code; its pages are shared with the page cache until they are written to.
    #[allow(unsafe_code)]
    fn map_code(&self, code: &Path) -> wasmtime::Result<WasmComponent> {
        // SAFETY: only files whose seal was right come here: this node made them, in a folder that only
        // its user can enter.
        unsafe { WasmComponent::deserialize_file(&self.engine, code) }
    }
}
