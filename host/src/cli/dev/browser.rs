//! Opens the app in the author's browser.

use std::process::{Command, Stdio};

use super::terminal::Terminal;

/// What desktops open addresses with, after the author's own choice.
const OPENERS: [&str; 3] = ["xdg-open", "gio", "wslview"];

pub fn open(url: &str, terminal: &Terminal) {
    let chosen = std::env::var("BROWSER").ok().filter(|browser| !browser.is_empty());
    let openers = chosen.iter().map(String::as_str).chain(OPENERS);
    for opener in openers {
        let mut command = Command::new(opener);
        if opener == "gio" {
            command.arg("open");
        }
        command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Ok(mut child) = command.spawn() {
            // Somebody has to learn that it ended; it may run as long as the browser does.
            std::thread::spawn(move || child.wait());
            return;
        }
    }
    terminal.note("no program was found that opens a browser: set BROWSER to one");
}
