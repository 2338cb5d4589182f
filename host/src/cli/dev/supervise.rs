//! The node of this run: started, listened to, and started again when it ends.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::terminal::Terminal;
use crate::cli::failure::{Exit, Failure};
use crate::cli::server::ADMIN_ADDRESS_FILE;
use crate::dev::{DevNode, NodeOptions, SharedState};

/// A node that ends this often within a minute will not be there for long the next time either.
const ENDS_MAX: usize = 3;
const ENDS_WITHIN: Duration = Duration::from_secs(60);

pub async fn start(options: &NodeOptions, state: &SharedState) -> Result<DevNode, Failure> {
    let node = DevNode::start(options).await.map_err(|error| {
        let said = error.said().trim();
        let detail = match said {
            "" => error.to_string(),
            said => format!("{error}:\n{said}"),
        };
        let failure = Failure::local(Exit::Failed, "node-not-started", detail);
        failure.advise(match said.contains("another node runs in") {
            true => "`typecase dev` runs in this project already: end it, or use it".to_owned(),
            false => {
                let data = options.data.display();
                format!("what it keeps of earlier runs is in {data}: without that folder it starts anew")
            }
        })
    })?;
    state.change(|state| (state.node, state.admin) = (Some(node.apps), Some(node.admin)));
    // For other commands, with --data: without it they only lack the address.
    let _ = std::fs::write(options.data.join(ADMIN_ADDRESS_FILE), node.admin.to_string());
    Ok(node)
}

/// Does some work while the node's log is read; a node that ends meanwhile ends it.
pub async fn with_log<T>(
    node: &mut DevNode,
    state: &SharedState,
    terminal: &Terminal,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        result = work => result,
        ended = read_log(node, state, terminal) => {
            let detail = format!("the development node ended ({ended}):\n{}", node.said());
            Err(Failure::local(Exit::Failed, "node-ended", detail))
        }
    }
}

/// Keeps a node running, and returns why there is none any more.
pub async fn forever(
    node: &mut DevNode,
    options: &NodeOptions,
    state: &SharedState,
    terminal: &Terminal,
) -> Failure {
    let mut ends = VecDeque::new();
    loop {
        let ended = read_log(node, state, terminal).await;
        terminal.node_ended(&ended, &node.said());
        ends.push_back(Instant::now());
        ends.retain(|end| end.elapsed() < ENDS_WITHIN);
        if ends.len() > ENDS_MAX {
            let detail = format!("the development node does not stay alive ({ended}):\n{}", node.said());
            return Failure::local(Exit::Failed, "node-ended", detail);
        }
        let started = Instant::now();
        match start(options, state).await {
            Ok(another) => *node = another,
            Err(failure) => return failure,
        }
        terminal.node_is_back(started.elapsed());
    }
}

/// Shows what the node says, until it ends; returns how.
async fn read_log(node: &mut DevNode, state: &SharedState, terminal: &Terminal) -> String {
    while let Some(line) = node.line().await {
        terminal.node_line(&line);
    }
    state.change(|state| (state.node, state.admin) = (None, None));
    match node.ended().await {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}
