//! A compile child's whole life: limit itself, then read, compile and write for as long as there are jobs.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;

use rustix::process::{Resource, Rlimit, Signal};
use rustix::time::{ClockId, clock_gettime};
use wasmtime::Engine;

use super::{Answer, Job, dwarf};
use crate::engine::{CompileEffort, EngineKind, compiler_engine};
use crate::inspect::inspect;

/// How much of an error's text is told.
const REFUSAL_CHARS_MAX: usize = 16 * 1024;

const NICENESS: i32 = 10;

/// Returns the exit code. Arguments: effort, memory in MiB, time for a job in milliseconds, process id of the server.
pub fn child_main(arguments: &[OsString]) -> u8 {
    let prepared = Compilation::prepare(arguments);
    let is_prepared = prepared.is_ok();
    match serve(prepared) {
        Ok(()) if is_prepared => 0,
        _ => 1,
    }
}

/// Answers until nobody asks any more. A child that cannot limit itself compiles nothing, and says why.
fn serve(mut prepared: Result<Compilation, String>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let done = match &mut prepared {
            Ok(compilation) => compilation.run(&line),
            Err(problem) => Err(problem.clone()),
        };
        let answer =
            done.unwrap_or_else(|text| Answer::Refused(text.chars().take(REFUSAL_CHARS_MAX).collect()));
        serde_json::to_writer(&mut stdout, &answer)?;
        stdout.write_all(b"\n")?;
        stdout.flush()?;
    }
    Ok(())
}

struct Compilation {
    effort: CompileEffort,
    cpu_s: u64,
    /// Those that were asked for.
    engines: Vec<(EngineKind, Engine)>,
}

impl Compilation {
    fn prepare(arguments: &[OsString]) -> Result<Self, String> {
        let [effort, memory_mb, timeout_ms, server] = arguments else {
            return Err("this command is started by the server, not by hand".into());
        };
        let number = |text: &OsString| text.to_str().and_then(|text| text.parse::<u64>().ok());
        let effort = effort.to_str().and_then(CompileEffort::parse).ok_or("bad effort")?;
        let memory_bytes = number(memory_mb).ok_or("bad memory limit")? * 1024 * 1024;
        let cpu_s = number(timeout_ms).ok_or("bad time limit")? * 4 / 1_000;
        limit_self(effort, memory_bytes).map_err(|error| format!("setting limits: {error}"))?;
        let parent = rustix::process::getppid().map(|parent| u64::from(parent.as_raw_pid().unsigned_abs()));
        if parent != number(server) {
            return Err("the server that wanted this is gone".into());
        }
        Ok(Self { effort, cpu_s: cpu_s.max(1), engines: Vec::new() })
    }

    fn run(&mut self, job: &str) -> Result<Answer, String> {
        let job = serde_json::from_str(job).map_err(|error| format!("bad job: {error}"))?;
        limit_cpu(self.cpu_s).map_err(|error| format!("setting limits: {error}"))?;
        match job {
            Job::Inspect { component } => {
                Ok(Answer::Inspected(inspect(&read(&component)?).map(|(inspection, _)| inspection)))
            }
            Job::Compile { input, output } => {
                let uploaded = read(&input)?;
                let (inspection, component) = inspect(&uploaded).map_err(|error| error.to_string())?;
                let kind = inspection.engine();
                let engine = self.engine(kind)?;
                let code = engine.precompile_component(&component).map_err(|error| format!("{error:#}"))?;
                std::fs::write(OsStr::from_bytes(&output), code)
                    .map_err(|error| format!("writing the code: {error}"))?;
                Ok(Answer::Compiled(kind))
            }
            Job::Symbols { component, offsets } => {
                let uploaded = read(&component)?;
                // Offsets are into the component, which may have been made from a core module.
                let (_, component) = inspect(&uploaded).map_err(|error| error.to_string())?;
                Ok(Answer::Symbols(dwarf::symbols(&component, &offsets)?))
            }
        }
    }

    fn engine(&mut self, kind: EngineKind) -> Result<Engine, String> {
        if let Some((_, engine)) = self.engines.iter().find(|(of, _)| *of == kind) {
            return Ok(engine.clone());
        }
        let engine = compiler_engine(kind, self.effort).map_err(|error| format!("{error:#}"))?;
        self.engines.push((kind, engine.clone()));
        Ok(engine)
    }
}

fn read(path: &[u8]) -> Result<Vec<u8>, String> {
    std::fs::read(OsStr::from_bytes(path)).map_err(|error| format!("reading the input: {error}"))
}

fn limit_self(effort: CompileEffort, memory_bytes: u64) -> rustix::io::Result<()> {
    let to = |limit: u64| Rlimit { current: Some(limit), maximum: Some(limit) };
    // A server that was killed must not leave a compiler behind, which writes into the next one's cache. One that stays
    // ends with its input: the thread that started it, whose death this is about, is not there as long as the server.
    if effort == CompileEffort::Full {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    rustix::process::setrlimit(Resource::Data, to(memory_bytes))?;
    rustix::process::setrlimit(Resource::Core, to(0))?;
    rustix::process::nice(NICENESS)?;
    Ok(())
}

/// Grants the next job its time, on top of what was used before.
fn limit_cpu(seconds: u64) -> rustix::io::Result<()> {
    let used = clock_gettime(ClockId::ProcessCPUTime).tv_sec.unsigned_abs();
    let maximum = rustix::process::getrlimit(Resource::Cpu).maximum;
    let current = Some(used + 1 + seconds);
    rustix::process::setrlimit(Resource::Cpu, Rlimit { current, maximum })
}
