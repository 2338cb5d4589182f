//! A build command at work, with everything that it started: it ends when this process does, however that ends.

use std::io::{self, PipeWriter, Write as _};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// Beside the command a shell reads what is its own stdin: a line says that the command has ended; without one, whoever
/// would have written it was killed, and the whole group goes the same way. A shell in between makes it nobody's child: a
/// command that waits for all of its children would wait for this one too.
const GUARDED: &str = r#"exec 3<&0 </dev/null
( { read -r _ <&3 || kill -KILL 0; } >/dev/null 2>&1 & )
exec 3<&-
exec sh -c "$1""#;

/// Ended with this value.
pub struct Running {
    child: Child,
    guard: PipeWriter,
    /// None once it has ended: the number may be somebody else's by then.
    group: Option<Pid>,
}

/// A shell for a command; what else it needs is the caller's to say, but stdin.
pub fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(GUARDED).arg("sh").arg(command);
    shell
}

impl Running {
    pub fn start(mut shell: Command) -> io::Result<Self> {
        let (reader, guard) = io::pipe()?;
        // A group of its own: what the command starts can be ended with it.
        shell.stdin(Stdio::from(reader)).process_group(0);
        let child = shell.spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Self { child, guard, group })
    }

    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let ended = self.child.wait().await;
        if self.group.take().is_some() {
            // What the command left running on purpose may stay.
            let _ = self.guard.write_all(b"\n");
        }
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // Gone already is what was wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
