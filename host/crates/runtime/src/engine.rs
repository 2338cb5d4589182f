//! The engines of a process, and the clock that interrupts their guests.
//!
//! There are two for each WASI generation. Compiled code of one generation is not valid in the other: support for
//! concurrent tasks changes the code and costs each call 24 us, which guests of WASI 0.2 cannot use. And small memories
//! have a pool of their own, see [`InitialMemory`].

use std::hash::{Hash, Hasher};
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::{
    Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

/// How often a computing guest is interrupted, in milliseconds; also the grain of `cpu_ms`.
///
/// A request of another app waits for at most one such slice at a time.
pub const TICK_MS: u64 = 10;

/// A guest's stack; deeper recursion traps.
const WASM_STACK_BYTES: usize = 512 * 1024;

/// A fiber's stack: the guest's and 512 KiB for the host functions that it calls.
const FIBER_STACK_BYTES: usize = 1024 * 1024;

/// Memory that a freed slot may keep, so that its next user takes no page fault. A hello of JavaScript or Python
/// writes to less than half a MiB.
const MEMORY_KEEP_RESIDENT_BYTES: usize = 4 * 1024 * 1024;
const TABLE_KEEP_RESIDENT_BYTES: usize = 1024 * 1024;

/// Freed slots that wait for their last user, for each core, before another component gets one of them rather than a
/// fresh one; in a pool of mapped memories.
///
/// A slot keeps what its users touched, also when their release is gone, and each publish takes a fresh one until there
/// are so many. But an app needs at least one for each core: with fewer slots than apps that are asked in turn, each call
/// would map its memory anew, which takes longer than all the rest of a hello. 500 apps fit, if the pool is large enough.
const MAPPED_WARM_SLOTS_PER_CORE: u32 = 640;

/// The same in a pool of copied memories, where a slot is as good as any other. So few stay in a core's own cache.
const COPIED_WARM_SLOTS_PER_CORE: u32 = 8;

/// Data of a component whose memories are copied. With some 32 KiB copying costs as much as it saves.
const COPIED_BYTES_MAX: u64 = 16 * 1024;

/// Memories in one pool. Each takes 4 GiB of address space and a guard of 32 MiB, so that no access needs a check; four
/// pools of so many take 82 of 128 TiB, and an allocator may have put something anywhere between them.
pub const MEMORIES_MAX: u32 = 5_200;

/// JavaScript engines have tables of about ten thousand functions.
const TABLE_ELEMENTS_MAX: usize = 100_000;

/// A component from a compiler has one to four core instances; composed ones have more.
const CORE_INSTANCES_PER_COMPONENT: u32 = 32;

/// The version of `wasi:http` that a component exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WasiGeneration {
    /// `wasi:http/incoming-handler@0.2.x`
    P2,
    /// `wasi:http/handler@0.3.x`
    P3,
}

impl WasiGeneration {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P2 => "p2",
            Self::P3 => "p3",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::P2, Self::P3].into_iter().find(|generation| generation.as_str() == text)
    }
}

/// How the memory of a new instance gets its first contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitialMemory {
    /// They are copied. An instance may then have any slot, so all apps share a few, which the processor has in its
    /// caches: with slots for each app, a hello of 64 in turn takes up to a fifth more of it.
    Copied,
    /// The file of compiled code is mapped, and the kernel copies what is written to. A slot keeps that mapping for the
    /// next instance of its component: most of the data of JavaScript and Python is only read, or not even that.
    Mapped,
}

impl InitialMemory {
    /// What suits a component with so much data in its modules.
    pub fn of_data(bytes: u64) -> Self {
        if bytes <= COPIED_BYTES_MAX { Self::Copied } else { Self::Mapped }
    }
}

/// What decides which of the engines a component belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EngineKind {
    pub generation: WasiGeneration,
    pub memory: InitialMemory,
}

impl EngineKind {
    pub const ALL: [Self; 4] = [
        Self { generation: WasiGeneration::P2, memory: InitialMemory::Copied },
        Self { generation: WasiGeneration::P2, memory: InitialMemory::Mapped },
        Self { generation: WasiGeneration::P3, memory: InitialMemory::Copied },
        Self { generation: WasiGeneration::P3, memory: InitialMemory::Mapped },
    ];
}

/// How much the compiler does for speed at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CompileEffort {
    #[default]
    Full,
    /// Compiles in about half of the time, into code that runs slower: for whoever compiles after each change.
    Little,
}

impl CompileEffort {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Little => "little",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Full, Self::Little].into_iter().find(|effort| effort.as_str() == text)
    }
}

/// The pool's size: how many instances of one engine may live at once, and how much memory each.
#[derive(Debug, Clone, Copy)]
pub struct PoolSize {
    pub instances_max: u32,
    pub memory_bytes_max: usize,
    /// Freed slots keep the pages that were touched, cleared.
    pub keeps_pages: bool,
}

/// What the compiler and the code it makes depend on; the same in the server and in the compile child.
fn code_config(kind: EngineKind, effort: CompileEffort) -> Config {
    let mut config = Config::new();
    if effort == CompileEffort::Little {
        config.cranelift_opt_level(OptLevel::None);
    }
    config.epoch_interruption(true);
    // Debug information is read in a child process, see `compile`.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config.max_wasm_stack(WASM_STACK_BYTES);
    config.async_stack_size(FIBER_STACK_BYTES);
    config.memory_init_cow(kind.memory == InitialMemory::Mapped);
    match kind.generation {
        WasiGeneration::P2 => {
            config.concurrency_support(false);
        }
        WasiGeneration::P3 => {
            config.wasm_component_model_async(true);
        }
    }
    config
}

/// An engine for the compile child: no pool, because it runs nothing.
pub fn compiler_engine(kind: EngineKind, effort: CompileEffort) -> wasmtime::Result<Engine> {
    Engine::new(&code_config(kind, effort))
}

/// An engine that serves, with its instances in a pool of fixed size.
pub fn serving_engine(kind: EngineKind, effort: CompileEffort, size: PoolSize) -> wasmtime::Result<Engine> {
    let mut config = code_config(kind, effort);
    let memories_max = size.instances_max.saturating_mul(2).min(MEMORIES_MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(size.instances_max)
        .total_core_instances(size.instances_max.saturating_mul(4))
        .total_memories(memories_max)
        .total_tables(size.instances_max.saturating_mul(2))
        .total_stacks(size.instances_max)
        .total_gc_heaps(size.instances_max)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_tables_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memory_size(size.memory_bytes_max)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_unused_warm_slots(warm_slots_max(kind.memory, memories_max));
    if PoolingAllocationConfig::is_pagemap_scan_available() && size.keeps_pages {
        // Only touched pages are reset, and they stay mapped: no system call and no fault per request.
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(MEMORY_KEEP_RESIDENT_BYTES)
            .table_keep_resident(TABLE_KEEP_RESIDENT_BYTES);
    }
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}

/// wasmtime shares these out evenly among the cores, sixteen at most.
fn warm_slots_max(memory: InitialMemory, memories_max: u32) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(16) as u32);
    let per_core = match memory {
        InitialMemory::Copied => COPIED_WARM_SLOTS_PER_CORE,
        InitialMemory::Mapped => MAPPED_WARM_SLOTS_PER_CORE,
    };
    per_core.saturating_mul(cores).min(memories_max)
}

/// Names everything that native code depends on: wasmtime's version, its settings, this CPU's features; and what decides
/// which engine it is for.
///
/// Code with another fingerprint is never loaded.
pub fn fingerprint(engine: &Engine) -> String {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut hasher = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    // Code that was made under another rule would be found in its former place.
    COPIED_BYTES_MAX.hash(&mut hasher);
    let digest = hasher.0.finalize();
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Starts the one thread that advances all engines' epochs; it ends when the engines are dropped.
pub fn start_ticker<'a>(engines: impl Iterator<Item = &'a Engine>) -> std::io::Result<()> {
    let engines: Vec<EngineWeak> = engines.map(Engine::weak).collect();
    std::thread::Builder::new().name("epoch-ticker".into()).spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(TICK_MS));
            let mut alive = false;
            for engine in &engines {
                if let Some(engine) = engine.upgrade() {
                    engine.increment_epoch();
                    alive = true;
                }
            }
            if !alive {
                return;
            }
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_data_is_copied() {
        assert_eq!(InitialMemory::of_data(0), InitialMemory::Copied);
        assert_eq!(InitialMemory::of_data(COPIED_BYTES_MAX), InitialMemory::Copied);
        assert_eq!(InitialMemory::of_data(COPIED_BYTES_MAX + 1), InitialMemory::Mapped);
    }

    #[test]
    fn code_is_for_the_engine_of_its_kind_alone() {
        let size = PoolSize { instances_max: 1, memory_bytes_max: 1 << 20, keeps_pages: true };
        let serving = EngineKind::ALL
            .map(|kind| fingerprint(&serving_engine(kind, CompileEffort::Full, size).unwrap()));
        let compiler =
            EngineKind::ALL.map(|kind| fingerprint(&compiler_engine(kind, CompileEffort::Full).unwrap()));
        assert_eq!(serving, compiler);
        for (index, one) in serving.iter().enumerate() {
            assert!(!serving[..index].contains(one), "{serving:?}");
        }
    }
}
