//! What the author reads: a calm line for each event, or with `--json` a JSON document for each.

mod printer;

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use typecase_model::{AppName, EntryLevel};

use crate::cli::elapsed::counted;
use crate::cli::failure::Failure;
use crate::cli::logs::entry::Entry;
use crate::cli::project::{Built, Project};
use crate::cli::text::{self, printable};
use crate::dev::{Changes, DevState, NodeLine, Port, without_escapes};
use printer::Printer;

/// Paths named in one line; of more, only how many.
const PATHS_MAX: usize = 3;
/// Of a command that is longer, the beginning tells which one it is.
const COMMAND_CHARS_MAX: usize = 100;
/// The end of a request's id tells requests apart; `typecase logs --request` takes it.
const REQUEST_CHARS_SHOWN: usize = 8;

#[derive(Clone)]
pub struct Terminal {
    printer: Printer,
    json: bool,
    colored: bool,
}

/// A release that serves, and how it came to that.
#[derive(Default)]
pub struct Served {
    /// What led to it, unless that was said before.
    pub changes: Option<Changes>,
    pub built: Option<Built>,
    pub release: u32,
    pub unchanged: bool,
    /// From the end of the build.
    pub took: Duration,
}

#[derive(Clone, Copy)]
enum Ink {
    Plain,
    Dim,
    Good,
    Bad,
    Warning,
}

impl Terminal {
    pub fn new(json: bool) -> Self {
        let is_terminal = !json && std::io::stdout().is_terminal();
        let colored = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { printer: Printer::start(is_terminal), json, colored }
    }

    /// Whether the build's own output is shown as it comes.
    pub fn shows_builds(&self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }

    /// Work during which nothing is said, with its seconds.
    pub async fn counted<T>(&self, label: &'static str, work: impl Future<Output = T>) -> T {
        match self.shows_builds() {
            true => counted(label, work).await,
            false => work.await,
        }
    }

    pub fn building(&self, project: &Project) {
        if let Some(build) = &project.manifest().build {
            self.event("building", json!({ "command": build.command }));
            let command = text::brief(build.command.trim(), COMMAND_CHARS_MAX);
            self.line(Ink::Dim, &format!("building: {command}"));
        }
    }

    pub fn built(&self, built: &Built) {
        let output = without_escapes(&built.output);
        self.event("built", json!({ "build_ms": text::millis(built.duration), "output": output }));
        self.line(Ink::Plain, &format!("built {}", seconds(built.duration)));
    }

    /// Where the app is, for people and for the browser.
    pub fn started(&self, app: &AppName, admin: Option<SocketAddr>, port: &Port) -> String {
        let mut address = port.address;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        let url = format!("http://{address}/{app}/");
        let api = admin.map(|admin| format!("http://{admin}"));
        let usual = port.instead_of.map(|usual| usual.to_string());
        self.event("started", json!({ "app": app, "url": url, "api": api, "instead_of": usual }));
        if let Some(usual) = port.instead_of {
            self.line(Ink::Warning, &format!("{usual} is taken: this is port {}", port.address.port()));
        }
        let shown = self.painted("1", &url);
        self.text(&format!("\n  {app}  {shown}\n  Ctrl-C ends it\n"));
        url
    }

    pub fn changed(&self, changes: &Changes) {
        self.event("changed", json!({ "paths": changes.paths().collect::<Vec<_>>() }));
        self.line(Ink::Dim, &format!("changed {}", named(changes)));
    }

    pub fn served(&self, served: &Served) {
        let Served { changes, built, release, unchanged, took } = served;
        let paths = changes.as_ref().map(|changes| changes.paths().collect::<Vec<_>>());
        let (build_ms, output) = match built {
            Some(built) => (Some(text::millis(built.duration)), Some(without_escapes(&built.output))),
            None => (None, None),
        };
        self.event(
            "serving",
            json!({ "release": release, "unchanged": unchanged, "swap_ms": text::millis(*took), "build_ms": build_ms, "output": output, "paths": paths }),
        );
        let parts = [
            changes.as_ref().map(|changes| format!("changed {}", named(changes))),
            built.as_ref().map(|built| format!("built {}", seconds(built.duration))),
            Some(match unchanged {
                true => format!("nothing new: release {release} serves on"),
                false => format!("release {release} serves after {}", text::duration(text::millis(*took))),
            }),
        ];
        let ink = if *unchanged { Ink::Dim } else { Ink::Good };
        self.line(ink, &parts.into_iter().flatten().collect::<Vec<_>>().join(" · "));
    }

    /// Something keeps the newest source from being served. `output` is what the build said, seen already or not.
    pub fn trouble(&self, failure: &Failure, output: &str, state: &DevState) {
        let plain = without_escapes(output);
        let release = state.serving.map(|serving| serving.release);
        self.event("failed", json!({ "error": failure.document, "output": plain, "serving": release }));
        if !output.is_empty() {
            if !self.shows_builds() {
                self.text(plain.trim_end());
            }
            // It says itself what was run.
            return self.line(Ink::Bad, &format!("the build failed · {}", state.what_serves()));
        }
        let text = failure.text();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let (first, more) = text.split_once('\n').unwrap_or((text, ""));
        if more.is_empty() {
            return self.line(Ink::Bad, &format!("{first} · {}", state.what_serves()));
        }
        self.line(Ink::Bad, first);
        self.text(more);
        self.line(Ink::Bad, &state.what_serves());
    }

    /// A change that cannot be published before the source builds again.
    pub fn waits(&self, changes: &Changes, state: &DevState) {
        let paths: Vec<&str> = changes.paths().collect();
        self.event("waiting", json!({ "paths": paths }));
        let line =
            format!("changed {} · waits for a build that succeeds; {}", named(changes), state.what_serves());
        self.line(Ink::Warning, &line);
    }

    pub fn node_line(&self, line: &NodeLine) {
        if let NodeLine::Node { is_problem: true, text } = line {
            self.event("node", json!({ "message": text }));
            self.line(Ink::Warning, text);
        }
    }

    /// What the app wrote, or the server about one of its calls.
    pub fn app_log(&self, entry: &Entry, json: String) {
        if self.json {
            let entry: Value = serde_json::from_str(&json).unwrap_or(json.into());
            return self.printer.print_if_there_is_room(event("log", json!({ "entry": entry })).to_string());
        }
        let id = printable(&entry.request_id);
        let start = id.char_indices().rev().nth(REQUEST_CHARS_SHOWN - 1).map_or(0, |(start, _)| start);
        let head = self.painted("2", &format!("{}  {:8}", time_of(entry), &id[start..]));
        let context = entry.context.as_ref().map(|context| format!("{context}: ")).unwrap_or_default();
        let text = printable(&format!("{context}{}", entry.message)).replace('\n', "\n                    ");
        let code = match entry.level {
            EntryLevel::Critical | EntryLevel::Error => "31",
            EntryLevel::Warn => "33",
            EntryLevel::Info => "",
            EntryLevel::Debug | EntryLevel::Trace => "2",
        };
        let text = self.painted(code, &text);
        self.printer.print_if_there_is_room(format!("{head}  {text}"));
    }

    pub fn node_ended(&self, how: &str, said: &str) {
        self.event("node-ended", json!({ "status": how, "output": said }));
        if !said.is_empty() {
            self.text(said);
        }
        self.line(Ink::Bad, &format!("the development node ended ({how}) and is started again"));
    }

    pub fn node_is_back(&self, took: Duration) {
        self.event("node-started", json!({ "duration_ms": text::millis(took) }));
        self.line(
            Ink::Good,
            &format!("the development node serves again after {}", text::duration(text::millis(took))),
        );
    }

    pub fn note(&self, text: &str) {
        self.event("note", json!({ "message": text }));
        self.line(Ink::Warning, text);
    }

    pub fn stopped(&self) {
        self.event("stopped", json!({}));
        self.printer.finish();
    }

    /// The end that nobody asked for.
    pub fn failed(&self, failure: &Failure) {
        self.event("ended", json!({ "error": failure.document }));
        self.printer.finish();
        eprintln!("{}", printable(&failure.text()));
    }

    fn event(&self, name: &str, fields: Value) {
        if self.json {
            self.printer.print(event(name, fields).to_string());
        }
    }

    fn line(&self, ink: Ink, text: &str) {
        let code = match ink {
            Ink::Plain => "",
            Ink::Dim => "2",
            Ink::Good => "32",
            Ink::Bad => "1;31",
            Ink::Warning => "33",
        };
        let time = self.painted("2", &now());
        self.text(&format!("{time}  {}", self.painted(code, &printable(text))));
    }

    fn text(&self, text: &str) {
        if !self.json {
            self.printer.print(text.to_owned());
        }
    }

    fn painted(&self, code: &str, text: &str) -> String {
        match self.colored && !code.is_empty() {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

fn event(name: &str, mut fields: Value) -> Value {
    fields["event"] = name.into();
    fields["time"] = jiff::Timestamp::now().to_string().into();
    fields
}

fn now() -> String {
    jiff::Zoned::now().strftime("%H:%M:%S").to_string()
}

/// When it was written, which may be a while ago.
fn time_of(entry: &Entry) -> String {
    let Ok(time) = entry.time.parse::<jiff::Timestamp>() else { return now() };
    time.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string()
}

fn named(changes: &Changes) -> String {
    let paths: Vec<&str> = changes.paths().collect();
    match paths.len() {
        0..=PATHS_MAX => paths.join(", "),
        count => format!("{} and {} more files", paths[..PATHS_MAX - 1].join(", "), count - PATHS_MAX + 1),
    }
}

fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
