//! `typecase dev [PATH]`: build, serve, watch; on each change build again and swap in place. A build that fails changes
//! nothing but what people see: the last good release serves on.

mod app_log;
mod browser;
mod data;
mod overtaken;
mod publish;
mod session;
mod source;
mod supervise;
mod terminal;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use typecase_model::AppName;

use super::GlobalArguments;
use super::failure::{Exit, Failure};
use crate::dev::{DevNode, NodeOptions, Port, SharedState};
use session::Session;
use source::Source;
use terminal::Terminal;

#[derive(Debug, Args)]
pub struct DevArguments {
    /// The project's folder, or a component (.wasm) that something else builds.
    #[arg(default_value = ".", hide_default_value = true)]
    path: PathBuf,
    /// The app's name, for a component without a manifest [default: its file's name].
    #[arg(long, value_name = "APP")]
    name: Option<AppName>,
    /// Where the app is served [default: 127.0.0.1:8100, or the next free port].
    #[arg(long, value_name = "ADDR", value_parser = super::node::address)]
    listen: Option<SocketAddr>,
    /// Open the app in the browser once it serves.
    #[arg(long)]
    open: bool,
    /// Set a value of the app's config. What was set stays set, in the project's `.typecase/dev`.
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::config::assignment)]
    config: Vec<(String, String)>,
}

/// Runs until it is told to stop, which is no failure.
pub fn run(global: &GlobalArguments, arguments: DevArguments) -> ExitCode {
    let terminal = Terminal::new(global.json);
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::local(Exit::Failed, "no-runtime", format!("cannot start: {error}")))
        .and_then(|runtime| {
            let result = runtime.block_on(until_stopped(global, arguments, &terminal));
            // A disk that hangs under a build must not hold up the exit.
            runtime.shutdown_background();
            result
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal.failed(&failure);
            ExitCode::from(failure.exit as u8)
        }
    }
}

async fn until_stopped(
    global: &GlobalArguments,
    arguments: DevArguments,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let mut node = None;
    let result = tokio::select! {
        result = develop(global, arguments, terminal, &mut node) => result,
        result = asked_to_stop() => result,
    };
    if let Some(node) = node {
        node.stop().await;
    }
    if result.is_ok() {
        terminal.stopped();
    }
    result
}

/// From a folder to an app that follows its source; ends only by failing.
async fn develop(
    global: &GlobalArguments,
    arguments: DevArguments,
    terminal: &Terminal,
    node: &mut Option<DevNode>,
) -> Result<(), Failure> {
    let begun = jiff::Timestamp::now().to_string();
    let source = Source { path: arguments.path, name: arguments.name };
    let project = source.open()?;
    let data = data::folder(global, &project)?;
    let port = Port::open(arguments.listen)
        .await
        .map_err(|taken| Failure::local(Exit::Failed, "port-taken", taken.to_string()))?;
    let state = SharedState::new(project.manifest().app.name.clone(), session::hosts(&project));
    let mut session = Session::new(source, project, data.clone(), state.clone(), terminal.clone())?;

    // The node starts while the compiler runs; whichever fails ends both.
    let options = NodeOptions { data: data.clone() };
    let started = async { supervise::start(&options, &state).await };
    let (started, ()) = tokio::try_join!(started, session.build_first())?;
    let node = node.insert(started);

    // A release of the last run may be there; nobody sees it before the first of this one.
    let publish = async {
        session.configure(&arguments.config).await?;
        session.publish_first().await
    };
    supervise::with_log(node, &state, terminal, publish).await?;
    let url = terminal.started(session.app(), session.state().now().admin, &port);
    if arguments.open {
        browser::open(&url, terminal);
    }

    tokio::select! {
        failure = session.follow() => Err(failure),
        failure = supervise::forever(node, &options, &state, terminal) => Err(failure),
        never = app_log::follow(&state, &data, begun, terminal) => match never {},
        () = crate::dev::serve(port, state.clone()) => Ok(()),
    }
}

async fn asked_to_stop() -> Result<(), Failure> {
    let unheard = |error: std::io::Error| Failure::local(Exit::Failed, "no-signals", error.to_string());
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unheard)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(unheard)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(unheard)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
