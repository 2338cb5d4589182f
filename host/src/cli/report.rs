//! How a report reads: what `typecase build` made, what `typecase check` found.

use std::collections::BTreeMap;

use serde_json::Value;
use typecase_model::{AppName, Manifest};

use super::failure::{Exit, Failure};
use super::text;
use crate::judge::{Finding, Report, remark};

/// The manifest as its author knows it, to show findings in.
#[derive(Debug, Clone)]
pub struct Shown {
    pub file: String,
    pub text: String,
}

/// The report as a document; of what a publish would refuse, a failure with every reason.
pub fn verdict(report: &Report, manifest: Option<&Shown>) -> Result<Value, Failure> {
    let mut document = serde_json::to_value(report).map_err(|error| {
        Failure::local(Exit::Failed, "internal", format!("cannot write the report: {error}"))
    })?;
    if report.accepted {
        return Ok(document);
    }
    let detail = reasons(&report.problems, manifest, &format!("{} would be refused", report.app));
    let code = report.problems.first().map_or("refused", |problem| problem.code.as_str());
    let mut failure = Failure::local(Exit::Failed, code, detail);
    if let (Some(fields), Some(report)) = (failure.document.as_object_mut(), document.as_object_mut()) {
        fields.append(report);
    }
    Err(failure)
}

/// A server's refusal of a bundle, with its reasons shown in the manifest.
pub fn explained(mut failure: Failure, app: &AppName, manifest: Option<&Shown>) -> Failure {
    let problems: Vec<Finding> =
        serde_json::from_value(failure.document["problems"].clone()).unwrap_or_default();
    if problems.iter().any(|problem| problem.place.is_some()) {
        failure.document["detail"] = reasons(&problems, manifest, &format!("{app} is refused")).into();
    }
    failure
}

fn reasons(problems: &[Finding], manifest: Option<&Shown>, headline: &str) -> String {
    let reasons: Vec<String> = problems.iter().map(|problem| shown(problem, manifest)).collect();
    match &reasons[..] {
        [reason] => reason.clone(),
        reasons => format!("{headline}, for {} reasons:\n\n{}", reasons.len(), reasons.join("\n\n")),
    }
}

/// A finding with line and caret where the manifest says what is wrong.
fn shown(finding: &Finding, manifest: Option<&Shown>) -> String {
    match (&finding.place, manifest) {
        (Some(place), Some(Shown { file, text })) => {
            let found = [(place.clone(), finding.message.clone())];
            Manifest::refused(text, file, &found).to_string()
        }
        _ => finding.message.clone(),
    }
}

/// What is in a bundle, a line each, and below it what its author should know.
pub fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let mut facts = vec![("bundle", format!("{}, {}", text::size(report.size_bytes), report.digest))];
    if let Some(component) = &report.component {
        let adapted = if component.adapted { ", made from a core module" } else { "" };
        let size = text::size(component.size_bytes);
        facts.push(("component", format!("{size}, WASI {}{adapted}", component.wasi)));
        let mut label = "imports";
        for (package, interfaces) in groups(&component.imports) {
            facts.push((label, format!("{package}: {}", interfaces.join(", "))));
            label = "";
        }
    }
    if report.assets > 0 {
        facts.push(("assets", text::count(report.assets, "file")));
    }
    facts
}

/// The config that an operator has to set before the first publish.
pub fn required_config(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let required = manifest.config.iter().filter(|(_, key)| key.required);
    let command = |(name, secret): (&String, bool)| match secret {
        true => format!("`typecase config set {} --from-file {name}=PATH`", manifest.app.name),
        false => format!("`typecase config set {} {name}=VALUE`", manifest.app.name),
    };
    let mut label = "config";
    let line = |(name, key): (&String, &typecase_model::manifest::ConfigKey)| {
        let line = (label, format!("{name} is required: {}", command((name, key.secret))));
        label = "";
        line
    };
    required.map(line).collect()
}

pub fn warnings(report: &Report, manifest: Option<&Shown>) -> String {
    report.warnings.iter().map(|warning| format!("\nwarning: {}", shown(warning, manifest))).collect()
}

/// Lines under a headline, their labels in a column.
pub fn lines(headline: String, facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
    facts.iter().fold(headline, |text, (label, fact)| format!("{text}\n  {label:width$}  {fact}"))
}

/// Imports by package and version: `wasi:io 0.2.4`, and its interfaces with what is to be known of them.
fn groups(imports: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for import in imports {
        let (interface, version) = import.split_once('@').unwrap_or((import, ""));
        let (package, name) = interface.split_once('/').unwrap_or((interface, interface));
        let name = match remark(interface) {
            Some(remark) => format!("{name} ({remark})"),
            None => name.to_owned(),
        };
        groups.entry(format!("{package} {version}").trim_end().to_owned()).or_default().push(name);
    }
    groups
}
