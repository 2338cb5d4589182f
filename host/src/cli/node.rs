//! `typecase node`: configuration, then logging, then the node until it ends.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use rustix::process::{Signal, getpid, kill_process};
use tracing_subscriber::EnvFilter;

use super::GlobalArguments;
use super::answer;
use super::failure::{Exit, Failure};
use crate::config::{Config, LogConfig, LogFormat, Sources};
use crate::log_writer::LogWriter;
use crate::settings::LogLevel;

#[derive(Debug, Args)]
pub struct NodeArguments {
    /// The node's configuration, TOML.
    #[arg(long, env = "TYPECASE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where apps are served [default: 0.0.0.0:8100].
    #[arg(long, value_name = "ADDR", value_parser = address)]
    listen: Option<SocketAddr>,
    /// Where API, health and metrics are served [default: 0.0.0.0:22345].
    #[arg(long, value_name = "ADDR", value_parser = address)]
    admin: Option<SocketAddr>,
    /// End when standard input does, whose other end whoever started the node holds.
    #[arg(long, hide = true)]
    with_stdin: bool,
}

/// How long a node whose starter is gone may take to end in order.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(2);

pub fn run(global: &GlobalArguments, arguments: NodeArguments) -> ExitCode {
    if arguments.with_stdin {
        std::thread::spawn(end_with_stdin);
    }
    let config = match Config::load(sources(global, arguments)) {
        Ok(config) => config,
        Err(error) => {
            let failure = Failure::local(Exit::Usage, "config-invalid", error.to_string());
            return answer::print(Err(failure), global.json);
        }
    };
    let (log, log_level) = start_logging(&config.log);
    // One provider for the whole process, named before the first handshake.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let code = match crate::node::run(config, log_level) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the node ends: {error:#}");
            ExitCode::from(Exit::Failed as u8)
        }
    };
    if let Some(log) = log {
        log.flush();
    }
    code
}

/// An address to listen on: what people leave out of one is named.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| match (text.trim_start_matches(':').parse::<u16>(), text.parse::<IpAddr>()) {
        (Ok(port), _) => format!(
            "a port alone: write 127.0.0.1:{port}, or 0.0.0.0:{port} for all addresses of the machine"
        ),
        (_, Ok(ip)) => format!("the port is missing: write {}", SocketAddr::new(ip, 8100)),
        _ => "write an IP address and a port, such as 0.0.0.0:8100".to_owned(),
    })
}

/// Also a starter that was killed closes the pipe.
fn end_with_stdin() {
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    let _ = kill_process(getpid(), Signal::TERM);
    std::thread::sleep(ORPHAN_TIMEOUT);
    std::process::exit(Exit::Failed as i32);
}

fn sources(global: &GlobalArguments, arguments: NodeArguments) -> Sources {
    let data = global.data.as_ref().map(|data| data.display().to_string());
    let flags = [
        ("node.listen", arguments.listen.map(|address| address.to_string())),
        ("node.admin", arguments.admin.map(|address| address.to_string())),
        ("node.data", data),
    ];
    Sources {
        file: arguments.config,
        flags: flags.into_iter().filter_map(|(key, value)| Some((key, value?))).collect(),
        ..Sources::from_environment()
    }
}

/// Everything goes to stderr: stdout is for the access log, and for data.
fn start_logging(log: &LogConfig) -> (Option<LogWriter>, LogLevel) {
    // The level was checked with the configuration; this is only what the type asks for.
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let writer = match LogWriter::start() {
        Ok(writer) => writer,
        Err(error) => {
            eprintln!("warning: no log is written: {error}");
            return (None, LogLevel::fixed());
        }
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer.clone());
    let (started, log_level) = match log.format {
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            (
                builder.try_init(),
                LogLevel::new(move |filter| handle.reload(filter).map_err(|e| e.to_string())),
            )
        }
        LogFormat::Text => {
            let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            let builder = builder.with_ansi(is_terminal).with_filter_reloading();
            let handle = builder.reload_handle();
            (
                builder.try_init(),
                LogLevel::new(move |filter| handle.reload(filter).map_err(|e| e.to_string())),
            )
        }
    };
    if let Err(error) = started {
        eprintln!("warning: no log is written: {error}");
        return (None, LogLevel::fixed());
    }
    (Some(writer), log_level)
}
