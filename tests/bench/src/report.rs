//! What was found: one row a promise, with its bar and whether it was reached.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::contest::Standing;
use crate::options::Bench;

/// What a figure has to be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bar {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Reached,
    Missed,
    NotMeasured,
    /// Nothing is promised; the figure is for the reader.
    Noted,
}

#[derive(Debug, Serialize)]
struct Row {
    scenario: &'static str,
    what: String,
    /// What the figure was made of, or why there is none.
    detail: String,
    figure: Option<f64>,
    unit: &'static str,
    bar: Option<Bar>,
    verdict: Verdict,
}

#[derive(Debug, Serialize)]
struct Placed {
    scenario: &'static str,
    #[serde(flatten)]
    standing: Standing,
}

#[derive(Debug, Serialize)]
pub struct Report {
    machine: Machine,
    quick: bool,
    seconds: u64,
    rounds: usize,
    rows: Vec<Row>,
    standings: Vec<Placed>,
    #[serde(skip)]
    scenario: &'static str,
    /// Peers that could not be started, and why.
    absent: BTreeMap<&'static str, String>,
}

#[derive(Debug, Serialize)]
struct Machine {
    cores: usize,
    processor: String,
    kernel: String,
}

impl Report {
    pub fn new(bench: &Bench) -> Self {
        Self {
            machine: Machine::look(),
            quick: bench.options.quick,
            seconds: bench.duration().as_secs(),
            rounds: bench.rounds(),
            rows: Vec::new(),
            standings: Vec::new(),
            scenario: "",
            absent: BTreeMap::new(),
        }
    }

    pub fn begin(&mut self, scenario: &'static str) {
        self.scenario = scenario;
    }

    /// Keeps a peer that runs, and remembers why one does not.
    pub fn peer<T>(&mut self, name: &'static str, started: Result<T>) -> Option<T> {
        match started {
            Ok(peer) => Some(peer),
            Err(error) => {
                eprintln!("    {name} takes no part: {error:#}");
                self.absent.insert(name, format!("{error:#}"));
                None
            }
        }
    }

    pub fn contest(&mut self, standings: &[Standing]) {
        let scenario = self.scenario;
        let placed = |standing: &Standing| Placed { scenario, standing: standing.clone() };
        self.standings.extend(standings.iter().map(placed));
    }

    /// One contender's throughput as a multiple of another's.
    pub fn ratio(
        &mut self,
        standings: &[Standing],
        ours: &'static str,
        theirs: &'static str,
        bar: impl Into<Option<Bar>>,
    ) {
        let bar = bar.into();
        let find = |name| standings.iter().find(|standing| standing.name == name);
        let (Some(our), Some(their)) = (find(ours), find(theirs)) else {
            let why = self.absent.get(theirs).cloned().unwrap_or_else(|| "it did not run".to_owned());
            return self.add(format!("{ours} / {theirs}"), first_line(&why), None, "x", bar);
        };
        let what = format!("{ours} / {theirs}, {} connections", our.connections);
        let mut detail =
            format!("{:.0} / {:.0} requests/s", our.requests_per_second, their.requests_per_second);
        for standing in [our, their] {
            if standing.errors > 0 {
                detail.push_str(&format!("; {} errors of {}", standing.errors, standing.name));
            }
        }
        let ratio = our.requests_per_second / their.requests_per_second;
        // An error is answered faster than a request is served: such a ratio says nothing in our favour.
        let figure = if our.errors > 0 { 0.0 } else { ratio };
        self.add(what, detail, Some(figure), "x", bar);
    }

    pub fn value(&mut self, what: &str, figure: f64, unit: &'static str, bar: Bar, detail: String) {
        self.add(what.to_owned(), detail, Some(figure), unit, Some(bar));
    }

    /// A figure without a bar.
    pub fn note(&mut self, what: &str, figure: f64, unit: &'static str, detail: String) {
        self.add(what.to_owned(), detail, Some(figure), unit, None);
    }

    /// A scenario that failed as a whole.
    pub fn broken(&mut self, error: &anyhow::Error) {
        eprintln!("    could not be measured: {error:#}");
        self.add("the scenario".to_owned(), first_line(&format!("{error:#}")), None, "", None);
    }

    /// Peers that were not there do not count; a promise that was missed or could not be tried does.
    pub fn all_reached(&self) -> bool {
        self.rows.iter().all(|row| match row.verdict {
            Verdict::Reached | Verdict::Noted => true,
            Verdict::Missed => false,
            Verdict::NotMeasured => row.bar.is_some(),
        })
    }

    /// Every scenario ran to its end, whatever came out.
    pub fn is_complete(&self) -> bool {
        !self.rows.iter().any(|row| matches!(row.verdict, Verdict::NotMeasured) && row.bar.is_none())
    }

    pub fn print(&self) {
        let mut rows = Table::new();
        rows.load_preset(presets::ASCII_MARKDOWN)
            .set_header(["scenario", "what", "figure", "bar", "verdict", "detail"]);
        for row in &self.rows {
            rows.add_row([
                row.scenario.to_owned(),
                row.what.clone(),
                row.figure.map_or_else(|| "-".to_owned(), |figure| shown(figure, row.unit)),
                row.bar.map_or_else(String::new, |bar| bar.shown(row.unit)),
                row.verdict.shown().to_owned(),
                row.detail.clone(),
            ]);
        }
        let mut medians = Table::new();
        medians.load_preset(presets::ASCII_MARKDOWN).set_header([
            "scenario",
            "server",
            "connections",
            "requests/s",
            "p99 ms",
            "CPU us/request",
            "errors",
        ]);
        for column in medians.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for Placed { scenario, standing } in &self.standings {
            medians.add_row([
                (*scenario).to_owned(),
                standing.name.to_owned(),
                standing.connections.to_string(),
                format!("{:.0}", standing.requests_per_second),
                format!("{:.2}", standing.p99_ms),
                format!("{:.0}", standing.cpu_us),
                standing.errors.to_string(),
            ]);
        }
        println!("\n{}, {} cores, Linux {}", self.machine.processor, self.machine.cores, self.machine.kernel);
        println!(
            "{} rounds of {} s; medians over short turns of the contenders; one machine serves and loads\n",
            self.rounds, self.seconds
        );
        if self.quick {
            println!("--quick: too short to rely on\n");
        }
        if !self.standings.is_empty() {
            println!("{medians}\n");
            println!("how they were started, and loaded:");
            let mut before = "";
            for Placed { scenario, standing } in &self.standings {
                if *scenario != before {
                    println!("  {scenario}");
                    before = scenario;
                }
                println!(
                    "    {}: {}\n        {}",
                    standing.name, standing.server_command, standing.load_command
                );
            }
            println!();
        }
        println!("{rows}\n");
    }

    pub fn save(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join("results.json");
        fs::write(&path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn add(
        &mut self,
        what: String,
        detail: String,
        figure: Option<f64>,
        unit: &'static str,
        bar: Option<Bar>,
    ) {
        let verdict = match (figure, bar) {
            (Some(figure), Some(bar)) if bar.holds(figure) => Verdict::Reached,
            (Some(_), Some(_)) => Verdict::Missed,
            (Some(_), None) => Verdict::Noted,
            (None, _) => Verdict::NotMeasured,
        };
        let figures = figure.map_or_else(|| "-".to_owned(), |figure| shown(figure, unit));
        eprintln!("    {what}: {figures} {} ({detail})", verdict.shown());
        self.rows.push(Row { scenario: self.scenario, what, detail, figure, unit, bar, verdict });
    }
}

impl Bar {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bar) => figure >= bar,
            Self::AtMost(bar) => figure <= bar,
        }
    }

    fn shown(self, unit: &str) -> String {
        match self {
            Self::AtLeast(bar) => format!(">= {}", shown(bar, unit)),
            Self::AtMost(bar) => format!("<= {}", shown(bar, unit)),
        }
    }
}

impl Verdict {
    fn shown(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Missed => "MISSED",
            Self::NotMeasured => "not measured",
            Self::Noted => "noted",
        }
    }
}

impl Machine {
    fn look() -> Self {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .and_then(|rest| rest.split_once(':'));
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: name.map_or("unknown processor", |(_, name)| name.trim()).to_owned(),
            kernel: kernel.trim().to_owned(),
        }
    }
}

fn shown(figure: f64, unit: &str) -> String {
    let digits = match figure.abs() {
        size if size == 0.0 || size >= 100.0 || (unit == "requests" && size.fract() == 0.0) => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    if unit == "x" { format!("{figure:.2}x") } else { format!("{figure:.digits$} {unit}") }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::Bar;

    #[test]
    fn a_bar_is_reached_when_it_is_met_exactly() {
        assert!(Bar::AtLeast(3.0).holds(3.0) && !Bar::AtLeast(3.0).holds(2.99));
        assert!(Bar::AtMost(20.0).holds(20.0) && !Bar::AtMost(20.0).holds(20.1));
    }
}
