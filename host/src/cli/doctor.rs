//! `typecase doctor`: what a node needs of this machine, and whether the server answers.

mod cluster;
mod machine;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::GlobalArguments;
use super::answer::Answer;
use super::credentials;
use super::failure::{Exit, Failure};
use super::server::Server;
use super::text;
use crate::config::{Config, Sources};

/// Enough for a node that answers at all.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// The node's configuration to check, TOML.
    #[arg(long, env = "TYPECASE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What one check found; a warning is something that works now and will not under load.
#[derive(Debug)]
pub struct Finding {
    check: &'static str,
    state: State,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Good,
    Warning,
    Bad,
}

impl Finding {
    pub fn new(check: &'static str, state: State, detail: String) -> Self {
        Self { check, state, detail }
    }
}

pub fn run(global: &GlobalArguments, arguments: &DoctorArguments) -> Result<Answer, Failure> {
    let server = Server::parse(&global.server)?;
    let mut findings = Vec::new();
    let mut sources = Sources { file: arguments.config.clone(), ..Sources::from_environment() };
    match &global.data {
        Some(data) => sources.flags.push(("node.data", data.display().to_string())),
        // Whichever folder the other commands would find is the one to look at.
        None => {
            let found = credentials::data_dirs()
                .into_iter()
                .find(|dir| dir.join(credentials::CLI_TOKEN_FILE).exists());
            sources.flags.extend(found.map(|dir| ("node.data", dir.display().to_string())));
        }
    }
    match Config::load(sources) {
        Ok(config) => {
            findings.push(Finding::new("config", State::Good, "no problems".to_owned()));
            findings.extend(machine::check(&config));
            findings.extend(config.cluster.iter().flat_map(cluster::check));
        }
        Err(error) => findings.push(Finding::new("config", State::Bad, error.to_string())),
    }
    findings.push(probe(&server, "server", "/livez", State::Bad));
    if findings.last().is_some_and(|finding| finding.state == State::Good) {
        findings.push(probe(&server, "ready", "/readyz", State::Warning));
    }
    Ok(report(&findings))
}

fn probe(server: &Server, check: &'static str, path: &str, otherwise: State) -> Finding {
    let url = format!("{}{path}", server.url);
    match super::client::probe(server, path, PROBE_TIMEOUT) {
        Ok(status) if status.is_success() => {
            Finding::new(check, State::Good, format!("{url} answers {status}"))
        }
        Ok(status) => Finding::new(check, otherwise, format!("{url} answers {status}")),
        Err(cause) => {
            Finding::new(check, otherwise, format!("{url}: {cause}; start a node, or give --server URL"))
        }
    }
}

fn report(findings: &[Finding]) -> Answer {
    let word = |state| match state {
        State::Good => "ok",
        State::Warning => "warning",
        State::Bad => "problem",
    };
    let rows = findings.iter().map(|finding| {
        vec![word(finding.state).to_owned(), finding.check.to_owned(), finding.detail.replace('\n', " ")]
    });
    let checks: Vec<_> = findings
        .iter()
        .map(|finding| json!({ "check": finding.check, "state": word(finding.state), "detail": finding.detail }))
        .collect();
    let bad = findings.iter().filter(|finding| finding.state == State::Bad).count();
    let table = text::table(&["STATE", "CHECK", "DETAIL"], rows.collect());
    Answer {
        document: json!({ "healthy": bad == 0, "checks": checks }),
        text: table,
        exit: if bad == 0 { Exit::Done } else { Exit::Failed },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_problem_makes_it_fail_and_a_warning_does_not() {
        let finding = |state| Finding::new("x", state, "y".to_owned());
        let warned = report(&[finding(State::Good), finding(State::Warning)]);
        assert_eq!(warned.exit, Exit::Done);
        assert_eq!(warned.text, "STATE    CHECK  DETAIL\nok       x      y\nwarning  x      y");
        let failed = report(&[finding(State::Bad)]);
        assert_eq!(failed.exit, Exit::Failed);
        assert_eq!(failed.document["healthy"], false);
    }
}
