//! Lays a program's code out by how it is run, with LLVM's BOLT: what runs one after the other lies together.
//!
//! A request passes through a few hundred kilobytes of code once, without a loop that would keep it in the caches; so a
//! good part of its time is waiting for code.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::program;
use crate::requirements::{self, Program};

/// What the linker has to leave in a program that is to be laid out.
pub const LINKER_ARGUMENT: &str = "-Clink-arg=-Wl,--emit-relocs";

/// The oldest version that was tried; older ones do not know the order of functions that is asked for.
const BOLT_MIN: u32 = 19;
const PACKAGES: &[&str] = &["bolt-19", "libbolt-19-dev"];

/// BOLT's two programs.
pub struct Bolt {
    optimizer: PathBuf,
    merger: PathBuf,
}

impl Bolt {
    /// Finds BOLT, or installs it where that is possible.
    pub fn find() -> Result<Self> {
        if let Some(found) = Self::search() {
            return Ok(found);
        }
        requirements::programs(&[Program {
            name: "llvm-bolt",
            packages: PACKAGES,
            why: "lays out the server's code by how it is run",
        }])?;
        Self::search().context("llvm-bolt was installed, and is not found")
    }

    /// The newest one. Debian's links on the PATH do not find their own library, so the real folders come first.
    fn search() -> Option<Self> {
        let mut folders: Vec<PathBuf> =
            (BOLT_MIN..=30).rev().map(|n| format!("/usr/lib/llvm-{n}/bin").into()).collect();
        folders.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
        folders.into_iter().find_map(|folder| {
            let (optimizer, merger) = (folder.join("llvm-bolt"), folder.join("merge-fdata"));
            (optimizer.is_file() && merger.is_file()).then_some(Self { optimizer, merger })
        })
    }

    /// Makes a program that writes, when it ends, which ways it took.
    pub fn instrument(&self, original: &Path, counting: &Path, counts: &Path) -> Result<()> {
        if counts.is_dir() {
            fs::remove_dir_all(counts).with_context(|| format!("could not empty {}", counts.display()))?;
        }
        fs::create_dir_all(counts).with_context(|| format!("could not make {}", counts.display()))?;
        let file = format!("--instrumentation-file={}", counts.join("counts").display());
        let mut bolt = program(&self.optimizer, counts);
        bolt.arg(original).arg("-o").arg(counting).args(["-instrument", "--instrumentation-file-append-pid"]);
        quietly(bolt.arg(file))
    }

    /// Makes the program that is laid out by what `instrument`'s program has written.
    pub fn lay_out(&self, original: &Path, counts: &Path, laid_out: &Path) -> Result<()> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(counts)?.filter_map(|file| Some(file.ok()?.path())).collect();
        // Children that end in a hurry leave empty ones.
        files.retain(|file| file.metadata().is_ok_and(|file| file.len() > 0));
        if files.is_empty() {
            bail!("the server has counted nothing in {}", counts.display());
        }
        let merged = counts.with_extension("fdata");
        quietly(program(&self.merger, counts).args(files).arg("-o").arg(&merged))?;
        let mut bolt = program(&self.optimizer, counts);
        bolt.arg(original).arg("-o").arg(laid_out).arg("-data").arg(&merged);
        bolt.args([
            "-reorder-blocks=ext-tsp",
            "-reorder-functions=cdsort",
            "-icf=1",
            "-update-debug-sections",
        ]);
        quietly(bolt.args(["-split-functions", "-split-all-cold", "-split-eh"]))
    }
}

/// BOLT says a lot about what it finds; it is shown when something went wrong.
fn quietly(command: &mut std::process::Command) -> Result<()> {
    let output = command.output().with_context(|| format!("could not start {:?}", command.get_program()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let end: Vec<&str> = said.lines().rev().take(20).collect();
        bail!("{:?} failed ({}):\n{}", command.get_program(), output.status, end.join("\n"));
    }
    Ok(())
}
