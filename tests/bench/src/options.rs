//! What the caller asked for, and where things are.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::scenarios;

/// Side-by-side measurements of Typecase and its peers on this machine.
#[derive(Debug, Parser)]
pub struct Options {
    /// Short runs and small numbers: shows that everything works, measures nothing reliably
    #[arg(long)]
    pub quick: bool,
    /// Install wasmtime-cli with cargo when it is not on the PATH
    #[arg(long)]
    pub install_peers: bool,
    /// Only this scenario; may be given several times
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Length of a round; contenders answer in turns of one second, as many as fill the rounds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: Option<u64>,
    /// How many rounds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50))]
    pub rounds: Option<u32>,
    /// Show the scenarios and end
    #[arg(long)]
    pub list: bool,
}

/// One run of the bench.
#[derive(Debug)]
pub struct Bench {
    pub options: Options,
    pub root: PathBuf,
    /// The server under test.
    pub server: PathBuf,
    /// Where data, logs and results of this run go.
    pub folder: PathBuf,
}

impl Bench {
    pub fn prepare(options: Options) -> Result<Self> {
        for name in &options.only {
            if !scenarios::ALL.iter().any(|scenario| scenario.name == name) {
                bail!("there is no scenario `{name}`; --list shows them");
            }
        }
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.ancestors().nth(2).unwrap_or(here).to_path_buf();
        let beside = std::env::current_exe()?.with_file_name("typecase");
        let server = std::env::var_os("TYPECASE_BIN").map_or(beside, PathBuf::from);
        if !server.is_file() {
            bail!(
                "there is no server at {}: run `cargo build --release --package typecase`, or set TYPECASE_BIN",
                server.display()
            );
        }
        let folder = root.join("target/bench");
        let data = folder.join("data");
        if data.exists() {
            fs::remove_dir_all(&data).with_context(|| format!("cannot empty {}", data.display()))?;
        }
        fs::create_dir_all(folder.join("log"))
            .with_context(|| format!("cannot write to {}", folder.display()))?;
        Ok(Self { options, root, server, folder })
    }

    pub fn wants(&self, scenario: &str) -> bool {
        self.options.only.is_empty() || self.options.only.iter().any(|name| name == scenario)
    }

    /// How long one round lasts.
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.options.seconds.unwrap_or(self.sized(6, 2)))
    }

    /// How many rounds there are; odd, so that the median is a measured value.
    pub fn rounds(&self) -> usize {
        self.options.rounds.map_or(self.sized(5, 3), |rounds| rounds as usize)
    }

    /// A size that `--quick` reduces.
    pub fn sized<T>(&self, full: T, quick: T) -> T {
        if self.options.quick { quick } else { full }
    }

    /// A fresh folder for one server's files.
    pub fn data(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join("data").join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }
}
