//! What is promised, one scenario a file.

mod assets;
mod authoring;
mod cluster_publish;
mod cluster_quiet;
mod cluster_scale;
mod dev;
mod fresh;
mod idle_apps;
mod js;
mod many_apps;
mod many_publishes;
mod p3;
mod publish_latency;
mod reuse;
mod sdk;
mod spinners;
mod storm;

use anyhow::{Result, bail};

use crate::options::Bench;
use crate::report::Report;

#[derive(Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub asks: &'static str,
}

/// In the order in which they run.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "fresh",
        asks: "a fresh instance per request, against wasmtime serve, Node.js and native code",
    },
    Scenario { name: "reuse", asks: "instances that serve 1,000 requests, against wasmtime serve" },
    Scenario { name: "p3", asks: "a component of WASI 0.3, against wasmtime serve with the same reuse" },
    Scenario { name: "js", asks: "a JavaScript component, fresh per request, against wasmtime serve" },
    Scenario { name: "sdk", asks: "an app written with the Rust SDK, against the same on raw bindings" },
    Scenario { name: "many_apps", asks: "64 and 500 apps in turn, against one of them alone" },
    Scenario { name: "assets", asks: "static files of 1 KiB and 1 MiB, against nginx" },
    Scenario { name: "idle_apps", asks: "500 apps: the time to ready, and what each costs while it waits" },
    Scenario {
        name: "publish_latency",
        asks: "how soon a release serves: a new one, and one rolled back to",
    },
    Scenario { name: "many_publishes", asks: "1,000 publishes of one app: what they leave in memory" },
    Scenario {
        name: "dev",
        asks: "the author's loop: how soon a finished compile, and a saved file, are served",
    },
    Scenario {
        name: "authoring",
        asks: "new, build and publish of the Rust template: what it takes, and what of it is ours",
    },
    Scenario { name: "storm", asks: "a new release every 500 ms under load: failures and latency" },
    Scenario {
        name: "spinners",
        asks: "eight endless loops on one core: what another app and health notice",
    },
    Scenario {
        name: "cluster_publish",
        asks: "three nodes: how soon all serve a release, and how far apart they switch",
    },
    Scenario {
        name: "cluster_quiet",
        asks: "what a request, and a node with 500 idle apps, asks of the database and of Redis",
    },
    Scenario {
        name: "cluster_scale",
        asks: "control planes of up to 100 nodes on one database and one Redis: where it gets slow",
    },
];

pub async fn run(name: &str, bench: &Bench, report: &mut Report) -> Result<()> {
    match name {
        "fresh" => fresh::run(bench, report).await,
        "reuse" => reuse::run(bench, report).await,
        "p3" => p3::run(bench, report).await,
        "js" => js::run(bench, report).await,
        "sdk" => sdk::run(bench, report).await,
        "many_apps" => many_apps::run(bench, report).await,
        "assets" => assets::run(bench, report).await,
        "idle_apps" => idle_apps::run(bench, report).await,
        "publish_latency" => publish_latency::run(bench, report).await,
        "many_publishes" => many_publishes::run(bench, report).await,
        "dev" => dev::run(bench, report).await,
        "authoring" => authoring::run(bench, report).await,
        "storm" => storm::run(bench, report).await,
        "spinners" => spinners::run(bench, report).await,
        "cluster_publish" => cluster_publish::run(bench, report).await,
        "cluster_quiet" => cluster_quiet::run(bench, report).await,
        "cluster_scale" => cluster_scale::run(bench, report).await,
        unknown => bail!("there is no scenario `{unknown}`"),
    }
}
