//! Programs that hang: they keep their sockets, accept connections still, and answer nothing.

use std::process::Child;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::eventually;

/// Returns when none of its threads runs any more: whoever sends the signal goes on before the threads on other cores
/// have seen it, and meets one that still answers.
pub(crate) async fn pause(name: &str, child: &Child) {
    let process = Pid::from_child(child);
    kill_process(process, Signal::STOP).expect("the signal is sent");
    let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
    eventually(&format!("{name} stands still"), async || {
        waitid(WaitId::Pid(process), stopped).expect("it is a child of ours")
    })
    .await;
}

/// It goes on where it was.
pub(crate) fn resume(child: &Child) {
    kill_process(Pid::from_child(child), Signal::CONT).expect("the signal is sent");
}
