//! `[log]`: what the node writes about itself and about requests.

use tracing_subscriber::EnvFilter;

use super::reader::Reader;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

#[derive(Debug, Clone)]
pub struct LogConfig {
    /// A level, or directives such as `info,typecase=debug`.
    pub level: String,
    pub format: LogFormat,
    /// Where the line for each request goes.
    pub access: AccessLog,
    /// The access log's file is turned over at this size, in MiB.
    pub access_file_mb: u32,
    /// Access log files that are kept, the current one included.
    pub access_files: u32,
    /// An app's log file is turned over at this size, in MiB.
    pub app_file_mb: u32,
    /// Log files of each app that are kept, the current one included.
    pub app_files: u32,
    /// Whether what apps write shows in the node's own log too.
    pub echo_apps: EchoApps,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// `access.log` in the data folder's `log`.
    File,
    Stdout,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EchoApps {
    /// When somebody looks: stderr is a terminal.
    Auto,
    Always,
    Never,
}

impl LogConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let mut section = reader.section("log");
        let level = section.text("level", "info");
        if !is_log_level(&level) {
            section.problem(
                "level",
                "use error, warn, info, debug or trace, or directives such as \"info,typecase=debug\"",
            );
        }
        Self {
            level,
            format: section.choice(
                "format",
                "text",
                &[("text", LogFormat::Text), ("json", LogFormat::Json)],
                LogFormat::Text,
            ),
            access: section.choice(
                "access",
                "file",
                &[("file", AccessLog::File), ("stdout", AccessLog::Stdout), ("off", AccessLog::Off)],
                AccessLog::File,
            ),
            access_file_mb: section.number("access_file_mb", 64, 1..=65_536),
            access_files: section.number("access_files", 4, 1..=1_000),
            app_file_mb: section.number("app_file_mb", 8, 1..=1_024),
            app_files: section.number("app_files", 4, 1..=100),
            echo_apps: section.choice(
                "echo_apps",
                "auto",
                &[("auto", EchoApps::Auto), ("always", EchoApps::Always), ("never", EchoApps::Never)],
                EchoApps::Auto,
            ),
        }
    }
}

/// A level by itself, or directives; a single word that is no level would silence everything else.
pub fn is_log_level(text: &str) -> bool {
    let is_word = text.bytes().all(|b| b.is_ascii_alphanumeric());
    EnvFilter::try_new(text).is_ok()
        && (!is_word || LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text)))
}
