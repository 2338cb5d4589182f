//! What a check says: the document that `typecase build`, `typecase check` and the API's check answer.

use serde::{Deserialize, Serialize};
use typecase_bundle::BundleError;
use typecase_model::{AppName, Digest, Limits, ReleaseNumber};
use typecase_runtime::WasiGeneration;

use super::{Component, Finding, Judgement, needs};

/// Read leniently: another version may say more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub app: AppName,
    /// Whether a publish would be taken.
    pub accepted: bool,
    /// Of the bundle.
    pub digest: Digest,
    pub size_bytes: u64,
    pub assets: usize,
    pub component: Option<ComponentReport>,
    pub limits: Option<Limits>,
    /// The release that it would take the place of; a check without a server does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaced>,
    pub problems: Vec<Finding>,
    /// What will work, but perhaps not as meant.
    pub warnings: Vec<Finding>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComponentReport {
    pub size_bytes: u64,
    /// `0.2` or `0.3`.
    pub wasi: String,
    /// It came as a core module.
    #[serde(default)]
    pub adapted: bool,
    pub imports: Vec<String>,
}

/// The release that serves now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replaced {
    pub release: ReleaseNumber,
    pub publisher: String,
    /// The same bundle: nothing would change.
    pub same: bool,
}

impl Report {
    pub fn new(
        app: AppName,
        digest: Digest,
        size_bytes: u64,
        judged: &Result<Judgement, BundleError>,
    ) -> Self {
        let empty = Self {
            app,
            accepted: false,
            digest,
            size_bytes,
            assets: 0,
            component: None,
            limits: None,
            replaces: None,
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        match judged {
            Err(error) => Self { problems: Finding::of_bundle(error), ..empty },
            Ok(judgement) => Self {
                accepted: judgement.objections.is_empty(),
                assets: judgement.assets,
                component: judgement.component.as_ref().map(ComponentReport::of),
                limits: judgement.limits,
                problems: judgement.objections.iter().map(Finding::from).collect(),
                warnings: needs::warnings(&judgement.manifest, judgement.component.as_ref()),
                ..empty
            },
        }
    }

    /// Adds what only a server knows.
    pub fn object(&mut self, finding: Finding) {
        self.accepted = false;
        self.problems.push(finding);
    }
}

impl ComponentReport {
    fn of(component: &Component) -> Self {
        Self {
            size_bytes: component.size_bytes,
            wasi: match component.inspection.generation {
                WasiGeneration::P2 => "0.2".to_owned(),
                WasiGeneration::P3 => "0.3".to_owned(),
            },
            adapted: component.inspection.is_adapted,
            imports: component.inspection.imports.clone(),
        }
    }
}
