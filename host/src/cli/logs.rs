//! `typecase logs APP`: what an app wrote and why its calls failed, on all nodes; `-f` goes on with what comes.
//!
//! Prints as it reads, in contrast to other commands: with `--json` one object a line.

pub mod entry;
pub mod lines;
mod print;
pub mod resume;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use typecase_model::{AppName, EntryLevel};

use super::GlobalArguments;
use super::answer;
use super::client::Client;
use super::completion;
use super::failure::{Exit, Failure};
use entry::Line;
use lines::Lines;
use print::Printer;
use resume::Resume;

/// What fits on a screen or two.
const TAIL_DEFAULT: u32 = 100;
/// Of one request, everything.
const TAIL_OF_REQUEST: u32 = 10_000;

/// Between two attempts to reach a node again.
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = "With --json each entry is one JSON object on a line of its own.")]
pub struct LogsArguments {
    #[arg(add = completion::apps())]
    app: AppName,
    /// Go on with each entry as it comes, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// How many of the newest entries to begin with [default: 100].
    #[arg(long, value_name = "N")]
    tail: Option<u32>,
    /// An age (90s, 10m, 2h, 7d) or a time (08:30, 2026-01-31, 2026-01-31T08:30:00Z).
    #[arg(long, value_name = "TIME", value_parser = resume::parse_since)]
    since: Option<String>,
    /// This level and those above it: trace, debug, info, warn, error or critical.
    #[arg(long, value_name = "LEVEL")]
    level: Option<EntryLevel>,
    /// The entries of one request: its x-request-id, or the end of it that `logs` shows.
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// The entries of one release.
    #[arg(long, value_name = "N")]
    release: Option<u32>,
    /// The entries of one node, by name or id.
    #[arg(long, value_name = "NODE", add = completion::nodes())]
    node: Option<String>,
}

impl LogsArguments {
    fn path(&self) -> String {
        format!("/api/v1/apps/{}/logs", self.app)
    }

    /// The question, without those parts that change when it is asked again.
    fn query(&self) -> Vec<(&'static str, String)> {
        let parts = [
            ("level", self.level.map(|level| level.to_string())),
            ("request", self.request.clone()),
            ("release", self.release.map(|release| release.to_string())),
            ("node", self.node.clone()),
            ("follow", self.follow.then(|| "1".to_owned())),
        ];
        parts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn tail(&self) -> u32 {
        let preset = if self.request.is_some() { TAIL_OF_REQUEST } else { TAIL_DEFAULT };
        self.tail.unwrap_or(preset)
    }

    /// What to look at when there is nothing to show.
    fn advice(&self) -> String {
        let app = &self.app;
        if self.request.is_some() {
            return format!(
                "no entry of this request: its answer's header x-request-id has the whole id; old entries are dropped when their files are full (see `typecase logs {app}`)"
            );
        }
        if self.level.is_some() || self.since.is_some() || self.release.is_some() || self.node.is_some() {
            return format!("no entry fits: ask for less, or look at everything with `typecase logs {app}`");
        }
        format!(
            "no entries yet: what `{app}` writes to stdout, stderr or wasi:logging appears here, and why its calls failed"
        )
    }
}

/// How reading ended.
enum End {
    /// All was told, or Ctrl-C.
    Done,
    /// Whoever read our output has gone (`typecase logs APP | head`).
    NobodyReads,
    Lost(Failure),
}

pub fn run(global: &GlobalArguments, arguments: LogsArguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(print_all(global, &arguments)),
        Err(error) => Err(Failure::local(Exit::Failed, "no-runtime", format!("cannot start: {error}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => answer::print_last_line(&failure, global.json),
    }
}

async fn print_all(global: &GlobalArguments, arguments: &LogsArguments) -> Result<(), Failure> {
    let mut printer = Printer::new(global.json);
    let mut resume = Resume::new(arguments.tail(), arguments.since.clone());
    if !arguments.follow {
        let client = Client::new(global)?;
        let end = read(&client, arguments, &mut resume, &mut printer).await?;
        if let (End::Done, true) = (&end, printer.has_printed_nothing()) {
            printer.remark(&arguments.advice());
        }
        return match end {
            End::Done | End::NobodyReads => Ok(()),
            End::Lost(failure) => Err(failure),
        };
    }
    tokio::select! {
        result = follow(global, arguments, &mut resume, &mut printer) => result,
        // The usual end.
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// Reads until nobody wants it any more; comes back to a node that was away.
async fn follow(
    global: &GlobalArguments,
    arguments: &LogsArguments,
    resume: &mut Resume,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let mut pause = RETRY_MIN;
    let mut reached = false;
    loop {
        // A node that was started again has another token.
        let failure = match Client::new(global) {
            Err(failure) => failure,
            Ok(client) => match read(&client, arguments, resume, printer).await {
                Ok(End::NobodyReads) => return Ok(()),
                Ok(End::Lost(failure)) => {
                    (reached, pause) = (true, RETRY_MIN);
                    failure
                }
                // Now and then the server wants to see the token again.
                Ok(End::Done) => {
                    (reached, pause) = (true, RETRY_MIN);
                    tokio::time::sleep(pause).await;
                    continue;
                }
                Err(failure) => failure,
            },
        };
        if !reached || !may_pass(&failure) {
            return Err(failure);
        }
        if resume.is_first_failure() {
            printer.remark(&format!("{}; trying again", failure.text().trim_start_matches("error: ")));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// Of a node that stops or starts.
fn may_pass(failure: &Failure) -> bool {
    let status = failure.document["status"].as_u64();
    failure.exit == Exit::Unreachable || status.is_some_and(|status| status == 401 || status >= 500)
}

/// Asks once, and prints all that comes.
async fn read(
    client: &Client,
    arguments: &LogsArguments,
    resume: &mut Resume,
    printer: &mut Printer,
) -> Result<End, Failure> {
    let mut query = arguments.query();
    query.extend(resume.query());
    let mut lines = Lines::of(client.stream(&arguments.path(), &query).await?);
    resume.reached();
    // Until it is known whose entries there are, nothing can be printed beside each other.
    let mut backlog = Some(Vec::new());
    loop {
        let line = match lines.next().await {
            Ok(Some(line)) => Line::parse(line),
            Ok(None) => {
                let printed = backlog.is_none_or(|backlog| printer.print_all(&backlog));
                return Ok(if printed { End::Done } else { End::NobodyReads });
            }
            Err(error) => {
                if let Some(backlog) = backlog {
                    printer.print_all(&backlog);
                }
                return Ok(End::Lost(client.lost(&error)));
            }
        };
        if resume.knows(&line) {
            continue;
        }
        let printed = match (&mut backlog, line) {
            (Some(lines), Line::Live) => {
                let printed = printer.print_all(lines);
                backlog = None;
                if printer.has_printed_nothing() {
                    printer.hint(&format!("waiting for entries of `{}`; Ctrl-C ends", arguments.app));
                }
                printed
            }
            (Some(lines), line) => {
                lines.push(line);
                true
            }
            (None, line) => printer.print_all(&[line]),
        };
        if !printed {
            return Ok(End::NobodyReads);
        }
    }
}
