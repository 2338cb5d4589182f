//! The server under test, with everything on that ships on.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::admin::Admin;
use crate::options::Bench;
use crate::process::{Server, free_address};
use crate::wrk::Target;

#[derive(Debug)]
pub struct Node {
    pub server: Server,
    /// Where apps are served.
    pub apps: String,
    /// Where health is told.
    pub admin_address: String,
    pub admin: Admin,
    /// From the start of the process until it said that it is ready.
    pub ready_after: Duration,
}

impl Node {
    /// Starts a node on the data folder of that name; a second start under the same name finds what the first one left.
    pub async fn start(bench: &Bench, name: &str) -> Result<Self> {
        Self::start_with(bench, name, &[], None).await
    }

    /// The same on one core only.
    pub async fn start_on_core(bench: &Bench, name: &str, core: usize) -> Result<Self> {
        Self::start_with(bench, name, &["taskset".to_owned(), "-c".to_owned(), core.to_string()], None).await
    }

    /// The same with a configuration file.
    pub async fn start_configured(bench: &Bench, name: &str, config: &toml::Table) -> Result<Self> {
        let path = bench.data(name)?.join("node.toml");
        fs::write(&path, config.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
        Self::start_with(bench, name, &[], Some(&path)).await
    }

    async fn start_with(
        bench: &Bench,
        name: &str,
        wrapper: &[String],
        config: Option<&Path>,
    ) -> Result<Self> {
        let data = bench.data(name)?;
        let apps = free_address()?;
        let admin_address = free_address()?;
        let mut words = wrapper.to_vec();
        words.push(bench.server.display().to_string());
        words.push("node".to_owned());
        for (option, value) in
            [("--listen", &apps), ("--admin", &admin_address), ("--data", &data.display().to_string())]
        {
            words.extend([option.to_owned(), value.clone()]);
        }
        if let Some(config) = config {
            words.extend(["--config".to_owned(), config.display().to_string()]);
        }
        let started = Instant::now();
        let mut server = Server::start(bench, &format!("typecase {name}"), &words[0], &words[1..])?;
        server.wait_for(&admin_address, "/readyz").await?;
        let ready_after = started.elapsed();
        let token = token(data)?;
        Ok(Self { server, apps, admin: Admin::new(&admin_address, token), admin_address, ready_after })
    }

    /// The load on one of the node's apps.
    pub fn target(&self, path: &str, connections: u32) -> Target {
        Target { url: format!("http://{}{path}", self.apps), connections, script: None }
    }
}

/// Every node writes a token for the command line into its data folder.
fn token(data: PathBuf) -> Result<String> {
    let path = data.join("cli-token");
    let token = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(token.trim().to_owned())
}
