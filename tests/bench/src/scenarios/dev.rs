//! The author's loop: from the end of a compile, and from saving a static file, to the first answer of the new release.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};

use crate::connection::Connection;
use crate::contest::median;
use crate::guests;
use crate::options::Bench;
use crate::process::{Server, free_address};
use crate::report::{Bar, Report};
use crate::switch::{milliseconds, text, until_served};

const COMPILED_BAR_MS: f64 = 150.0;
const ASSET_BAR_MS: f64 = 100.0;
/// Lets everything come to rest, as a person would.
const PAUSE: Duration = Duration::from_millis(300);

pub async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let times = bench.sized(21, 7);
    let hello = guests::read(&guests::example(bench, "hello")?)?;
    let mut dev = Dev::start(bench, "dev", &hello).await?;
    let answer = text(dev.client.get("/app/api").await?.body);
    let mut served = Vec::new();
    for version in 1..=times {
        let (changed, mark) = guests::reworded(&hello, &answer, version)?;
        served.push(milliseconds(dev.compile(&changed, &mark).await?));
    }
    report.value(
        "dev: from the end of the compile to serving",
        median(&served),
        "ms",
        Bar::AtMost(COMPILED_BAR_MS),
        format!("the Rust hello; {times} builds, worst {:.0} ms", worst(&served)),
    );
    let served = dev.save_assets(times).await?;
    report.value(
        "dev: from saving a static file to serving",
        median(&served),
        "ms",
        Bar::AtMost(ASSET_BAR_MS),
        format!("{times} times, worst {:.0} ms", worst(&served)),
    );
    dev.server.stop().await?;

    // A bundle of 13 MB, of which 100 bytes change.
    let script = guests::read(&guests::example(bench, "hello-js")?)?;
    let mut dev = Dev::start(bench, "dev-js", &script).await?;
    let served = dev.save_assets(times).await?;
    report.note(
        "dev: the same beside a JavaScript component",
        median(&served),
        "ms",
        format!("{times} times, worst {:.0} ms", worst(&served)),
    );
    dev.server.stop().await
}

/// A project under `typecase dev`. Its build command copies a component.
struct Dev {
    server: Server,
    client: Connection,
    folder: PathBuf,
}

impl Dev {
    async fn start(bench: &Bench, name: &str, component: &[u8]) -> Result<Self> {
        let folder = bench.data(name)?;
        write(&folder, "next.wasm", component)?;
        write(&folder, "src", b"0")?;
        fs::create_dir_all(folder.join("static"))?;
        write(&folder, "static/index.html", b"0")?;
        let manifest = "manifest_version = 1\n[app]\nname = \"app\"\ncomponent = \"app.wasm\"\nassets = \"static\"\n\
                        health = \"/api\"\n[build]\ncommand = \"cp next.wasm app.wasm\"\nwatch = [\"src\"]\n";
        write(&folder, "typecase.toml", manifest.as_bytes())?;
        let address = free_address()?;
        let path = folder.display().to_string();
        let mut server = Server::start(bench, name, &bench.server, &["dev", &path, "--listen", &address])?;
        server.wait_for(&address, "/app/").await?;
        Ok(Self { server, client: Connection::new(&address), folder })
    }

    /// Has another component built; the time runs from the moment at which the build has written it.
    async fn compile(&mut self, component: &[u8], mark: &str) -> Result<Duration> {
        tokio::time::sleep(PAUSE).await;
        write(&self.folder, "next.wasm", component)?;
        write(&self.folder, "src", mark.as_bytes())?;
        until_served(&mut self.client, "/app/api", mark, Instant::now()).await?;
        let served = SystemTime::now();
        let written = fs::metadata(self.folder.join("app.wasm"))?.modified()?;
        served.duration_since(written).context("the clock was set in the meantime")
    }

    async fn save_assets(&mut self, times: u32) -> Result<Vec<f64>> {
        let mut served = Vec::new();
        for version in 1..=times {
            tokio::time::sleep(PAUSE).await;
            let mark = format!("<p>version {version:04}</p>");
            let saved = Instant::now();
            write(&self.folder, "static/index.html", mark.as_bytes())?;
            served.push(milliseconds(until_served(&mut self.client, "/app/", &mark, saved).await?));
        }
        Ok(served)
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn worst(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(0.0, f64::max)
}
