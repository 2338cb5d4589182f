//! The app's log beside the events: what `typecase logs -f` shows, from the beginning of this run.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use typecase_model::EntryLevel;

use super::publish;
use super::terminal::Terminal;
use crate::cli::failure::Failure;
use crate::cli::logs::entry::{Entry, Line};
use crate::cli::logs::lines::Lines;
use crate::cli::logs::resume::Resume;
use crate::dev::SharedState;

/// Between two attempts to reach the node.
const RETRY: Duration = Duration::from_millis(250);
/// What was written before this side listens: by the first release while it was checked.
const TAIL: u32 = 1_000;

/// Where the entries of one kind come from.
const HOST: &str = "host";

/// Shows entries for ever, whichever app and whichever node it is.
pub async fn follow(state: &SharedState, data: &Path, since: String, terminal: &Terminal) -> Infallible {
    let mut changes = state.changes();
    let mut resume = Resume::new(TAIL, Some(since));
    loop {
        let now = state.now();
        let read = async {
            // Why it ended is the supervisor's concern; here it only means to come back.
            let _ = read(state, data, &mut resume, terminal).await;
            tokio::time::sleep(RETRY).await;
        };
        tokio::select! {
            () = read => {}
            _ = changes.wait_for(|state| state.app != now.app || state.admin != now.admin) => {}
        }
    }
}

async fn read(
    state: &SharedState,
    data: &Path,
    resume: &mut Resume,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let now = state.now();
    let client = publish::client(&now, data)?;
    let mut query = resume.query();
    query.push(("follow", "1".to_owned()));
    let response = client.stream(&format!("/api/v1/apps/{}/logs", now.app), &query).await?;
    let mut lines = Lines::of(response);
    while let Ok(Some(line)) = lines.next().await {
        let line = Line::parse(line);
        if resume.knows(&line) {
            continue;
        }
        match line {
            Line::Entry(entry, json) => {
                if is_crash(&entry) {
                    state.crashed(&entry.request_id, &entry.message);
                }
                terminal.app_log(&entry, json);
            }
            Line::Notice(notice, _) => terminal.note(&notice),
            Line::Live => {}
        }
    }
    Ok(())
}

/// Said about a call that failed, which its page may want to show: by the server, or by the app that caught its own mistake.
fn is_crash(entry: &Entry) -> bool {
    let is_error = matches!(entry.level, EntryLevel::Error | EntryLevel::Critical);
    (entry.source == HOST || is_error) && !entry.request_id.is_empty()
}
