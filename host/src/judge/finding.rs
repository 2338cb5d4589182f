//! One thing that a check found, in a form that commands, the API and programs share.

use serde::{Deserialize, Serialize};
use typecase_bundle::BundleError;
use typecase_model::ManifestError;

use super::Objection;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A stable kebab-case noun for programs.
    pub code: String,
    /// What it is and what to change.
    pub message: String,
    /// Keys of the manifest (and indexes of lists, in decimal) that lead to the place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Vec<String>>,
    /// In the manifest, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
}

impl Finding {
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), place: None, line: None, column: None }
    }

    /// At keys of the manifest.
    pub fn at(mut self, place: &[&str]) -> Self {
        self.place = Some(place.iter().map(|&step| step.to_owned()).collect());
        self
    }

    /// Of a bundle that cannot be read, all that is known.
    pub fn of_bundle(error: &BundleError) -> Vec<Self> {
        match error {
            BundleError::Manifest(ManifestError { file, problems }) => {
                let finding = |problem: &typecase_model::manifest::Problem| {
                    let shown = ManifestError { file: file.clone(), problems: vec![problem.clone()] };
                    Self {
                        line: Some(problem.line),
                        column: Some(problem.column),
                        ..Self::new(error.code(), shown.to_string())
                    }
                };
                problems.iter().map(finding).collect()
            }
            error => vec![Self::new(error.code(), error.to_string())],
        }
    }
}

impl From<&Objection> for Finding {
    fn from(objection: &Objection) -> Self {
        Self { place: objection.place(), ..Self::new(objection.code(), objection.to_string()) }
    }
}
