//! Compares Typecase with other servers on this machine: every row of one table comes from the same run,
//! its contenders take turns, and what counts is the ratio of their medians.

mod admin;
mod bundle;
mod cluster;
mod connection;
mod contest;
mod counters;
mod guests;
mod load;
mod node;
mod options;
mod peers;
mod process;
mod report;
mod scenarios;
mod simulated;
mod switch;
mod wrk;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Parser;
use futures_util::FutureExt as _;

use crate::options::{Bench, Options};
use crate::report::Report;

/// The exit code of a run in which everything was measured and a promise was not kept.
const MISSED: u8 = 3;

/// One thread is enough for the load generator, and leaves the other core to the server.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let options = Options::parse();
    if options.list {
        for scenario in scenarios::ALL {
            println!("{:16} {}", scenario.name, scenario.asks);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let bench = Bench::prepare(options)?;
    // Every server is a child that dies with its handle, so leaving this block stops them all.
    let report = tokio::select! {
        report = measure(&bench) => report?,
        _ = tokio::signal::ctrl_c() => {
            eprintln!("stopped");
            return Ok(ExitCode::FAILURE);
        }
    };
    report.print();
    let saved = report.save(&bench.folder)?;
    println!("the same as JSON: {}", saved.display());
    Ok(match report.all_reached() {
        true => ExitCode::SUCCESS,
        false if report.is_complete() => ExitCode::from(MISSED),
        false => ExitCode::FAILURE,
    })
}

async fn measure(bench: &Bench) -> Result<Report> {
    if bench.options.install_peers {
        peers::wasmtime_serve::install().await?;
    }
    let mut report = Report::new(bench);
    for scenario in scenarios::ALL {
        if !bench.wants(scenario.name) {
            continue;
        }
        eprintln!("==> {}: {}", scenario.name, scenario.asks);
        report.begin(scenario.name);
        // The harness of the tests, which starts databases for us, knows no other way to fail than a panic.
        let measured =
            AssertUnwindSafe(scenarios::run(scenario.name, bench, &mut report)).catch_unwind().await;
        if let Err(error) = measured.unwrap_or_else(|panic| Err(anyhow!("{}", last_words(&*panic)))) {
            report.broken(&error);
        }
    }
    Ok(report)
}

fn last_words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked")
}
