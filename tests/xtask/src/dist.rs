//! `cargo xtask dist`: the server as it ships. Built twice: once to count, under the bench's load, which ways the code
//! takes; then with these counts, so that what is taken often is inlined. At last its code is laid out, again by counts,
//! so that what runs in a row lies together (`layout.rs`).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::{cargo, output, program, run as run_command, step, succeeds};
use crate::{bench, guests, layout, requirements, workspace};

const PROFILE: &str = "dist";

/// What the server is loaded with while it counts: most of what it does all day.
const TRAINING: &[&str] = &["fresh", "reuse", "p3", "assets"];

pub fn run(arguments: &[String]) -> Result<()> {
    let again = match arguments {
        [] => false,
        [again] if again == "--retrain" => true,
        [unknown, ..] => bail!("`cargo xtask dist` takes no `{unknown}`, only --retrain"),
    };
    let server = build(again)?;
    eprintln!("built {}", server.display());
    Ok(())
}

/// Builds the server. The counts of an earlier build are good for later code too, unless `again` asks for new ones.
pub fn build(again: bool) -> Result<PathBuf> {
    let folder = workspace::target().join("profiled");
    fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    let host = host()?;
    let counts = folder.join("typecase.profdata");
    if again || !counts.is_file() {
        count(&host, &folder, &counts)?;
    }
    step("building the server as it ships; the first time this takes long");
    let flag = format!("-Cprofile-use={}", counts.display());
    run_command(cargo_build(&host, &folder, &flag).args([
        "--profile",
        PROFILE,
        "--",
        layout::LINKER_ARGUMENT,
    ]))?;
    let server = workspace::binary(PROFILE, "typecase");
    fs::create_dir_all(server.parent().unwrap_or(&folder))?;
    let linked = folder.join(&host).join(PROFILE).join("typecase");
    if again || !is_newer(&server, &linked) {
        lay_out(&folder, &linked, &server)?;
    }
    Ok(server)
}

fn is_newer(file: &Path, than: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    modified(file).zip(modified(than)).is_some_and(|(file, than)| file > than)
}

/// Lays out the server's code. Where BOLT is not to be had, the server is left as the linker made it.
fn lay_out(folder: &Path, linked: &Path, server: &Path) -> Result<()> {
    let bolt = match layout::Bolt::find() {
        Ok(bolt) => bolt,
        Err(error) => {
            step(&format!("the server's code is not laid out by its use: {error:#}"));
            fs::copy(linked, server).with_context(|| format!("could not write {}", server.display()))?;
            return Ok(());
        }
    };
    let (counting, counts) = (folder.join("typecase-counting"), folder.join("layout"));
    step("laying out its code: counting");
    bolt.instrument(linked, &counting, &counts)?;
    load(&counting)?;
    step("laying out its code");
    // Another file, because the former server may be running.
    let laid_out = folder.join("typecase-laid-out");
    bolt.lay_out(linked, &counts, &laid_out)?;
    fs::rename(&laid_out, server).with_context(|| format!("could not write {}", server.display()))?;
    fs::remove_file(counting).context("could not remove the server that counts")
}

fn count(host: &str, folder: &Path, counts: &Path) -> Result<()> {
    let merger = merger(host)?;
    requirements::programs(bench::NEEDED)?;
    guests::run_all()?;
    let raw = folder.join("counts");
    if raw.is_dir() {
        fs::remove_dir_all(&raw).with_context(|| format!("could not empty {}", raw.display()))?;
    }
    step("building a server that counts");
    let flag = format!("-Cprofile-generate={}", raw.display());
    run_command(cargo_build(host, folder, &flag).arg("--release"))?;
    load(&folder.join(host).join("release").join("typecase"))?;
    let files: Vec<PathBuf> = fs::read_dir(&raw)
        .with_context(|| format!("the server has counted nothing in {}", raw.display()))?
        .filter_map(|file| Some(file.ok()?.path()))
        .collect();
    run_command(program(merger, folder).args(["merge", "-o"]).arg(counts).args(files))
}

/// Loads a server that counts.
fn load(server: &Path) -> Result<()> {
    step("loading it; its own figures mean nothing");
    let mut load = bench::load_generator()?;
    load.arg("--quick").args(TRAINING.iter().flat_map(|name| ["--only", name]));
    let status = load.env(bench::SERVER, server).status().context("could not start the load generator")?;
    if !status.success() && status.code() != Some(bench::MISSED) {
        bail!("the load generator failed ({status})");
    }
    Ok(())
}

/// With flags for the server alone: what runs at build time is for the host, and is left as it is.
fn cargo_build(host: &str, folder: &Path, flag: &str) -> std::process::Command {
    let flags = [env::var("RUSTFLAGS").unwrap_or_default(), flag.to_owned()].join(" ");
    let mut build = cargo(&workspace::root());
    build
        .args(["rustc", "--package", "typecase", "--bin", "typecase", "--target", host, "--target-dir"])
        .arg(folder);
    build.env("RUSTFLAGS", flags.trim());
    build
}

/// The target triple of this machine.
fn host() -> Result<String> {
    let version = output(program("rustc", &workspace::root()).arg("-vV"))?;
    let line = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc does not say which host it is for")?.to_owned())
}

/// LLVM's program that merges counts, of the same version as the compiler.
fn merger(host: &str) -> Result<PathBuf> {
    let root = workspace::root();
    let sysroot = output(program("rustc", &root).args(["--print", "sysroot"]))?;
    let merger = Path::new(&sysroot).join("lib/rustlib").join(host).join("bin/llvm-profdata");
    if merger.is_file() {
        return Ok(merger);
    }
    step("installing LLVM's tools");
    let installed = succeeds(program("rustup", &root).args(["component", "add", "llvm-tools"]));
    if !installed || !merger.is_file() {
        bail!("{} is missing: `rustup component add llvm-tools` brings it", merger.display());
    }
    Ok(merger)
}
