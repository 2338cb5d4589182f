//! Progress on stderr: shown to people at a terminal, to nobody else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// An upload's bar, then a wait. indicatif itself draws nothing when stderr is no terminal.
#[derive(Debug, Clone)]
pub struct Progress(ProgressBar);

impl Progress {
    pub fn upload(label: String, size_bytes: u64) -> Self {
        let bar = ProgressBar::new(size_bytes).with_message(label);
        if let Ok(style) =
            ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}")
        {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub fn waiting(label: String) -> Self {
        let progress = Self(ProgressBar::new_spinner());
        progress.wait(label);
        progress
    }

    pub fn advance(&self, bytes: usize) {
        self.0.inc(bytes as u64);
    }

    pub fn wait(&self, label: String) {
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            self.0.set_style(style);
        }
        self.0.set_message(label);
        self.0.enable_steady_tick(Duration::from_millis(100));
    }

    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}
