//! Whether an app can run here: the archive, its manifest, its limits, its component.
//!
//! One judgement for a publish, for a check, and without a server for `typecase build`: what is accepted on an
//! author's desk is accepted by every server with the same rules.

mod finding;
mod needs;
mod offline;
mod report;

use std::path::Path;

use typecase_bundle::{BundleError, BundlePolicy};
use typecase_model::manifest::{LimitError, Unsupported};
use typecase_model::{AppName, LimitPolicy, Limits, Manifest};
use typecase_runtime::{InspectError, InspectFailure, Inspection};

pub use finding::Finding;
pub use needs::remark;
pub use offline::judge_offline;
pub use report::{Replaced, Report};

/// What the operator accepts.
#[derive(Debug, Clone)]
pub struct Rules {
    pub bundle: BundlePolicy,
    pub limits: LimitPolicy,
}

/// What was found in a bundle that can be read.
#[derive(Debug)]
pub struct Judgement {
    pub manifest: Manifest,
    /// Those that would hold; none when the manifest asks for more than it gets.
    pub limits: Option<Limits>,
    /// None without a component, and with one that cannot be served.
    pub component: Option<Component>,
    pub assets: usize,
    /// Empty: the app can run.
    pub objections: Vec<Objection>,
}

/// A component that can be served.
#[derive(Debug)]
pub struct Component {
    pub size_bytes: u64,
    pub inspection: Inspection,
}

/// One reason why an app cannot run here.
#[derive(Debug, thiserror::Error)]
pub enum Objection {
    #[error(
        "the bundle's typecase.toml says `{manifest}`, but it was published as `{asked}`: make the two agree"
    )]
    AppMismatch { asked: AppName, manifest: AppName },
    #[error("{}", .0.message)]
    Unsupported(Unsupported),
    #[error(transparent)]
    Limit(LimitError),
    #[error(transparent)]
    Component(InspectError),
    #[error(
        "reuse = {asked} would hang: what {tool} makes answers one request in its life; set `reuse = 1` in [limits]"
    )]
    Reuse { asked: u32, tool: String },
}

impl Objection {
    /// The stable name of the error for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AppMismatch { .. } => "app-name-mismatch",
            Self::Unsupported(_) => "manifest-unsupported",
            Self::Limit(_) => "limit-too-high",
            Self::Component(error) => error.code(),
            Self::Reuse { .. } => "reuse-impossible",
        }
    }

    /// The keys in the manifest that lead to what is wrong, if it is there.
    fn place(&self) -> Option<Vec<String>> {
        match self {
            Self::AppMismatch { .. } => Some(vec!["app".into(), "name".into()]),
            Self::Unsupported(Unsupported { place, .. }) => Some(place.clone()),
            Self::Limit(LimitError { key, .. }) => Some(vec!["limits".into(), (*key).into()]),
            Self::Component(_) => None,
            Self::Reuse { .. } => Some(vec!["limits".into(), "reuse".into()]),
        }
    }
}

/// Looks at every byte of a bundle; blocks, and holds a whole component in memory. `app` is the name it is
/// published under, if that was said besides; `inspect` looks at the component.
pub fn judge(
    bundle: &Path,
    app: Option<&AppName>,
    rules: &Rules,
    inspect: impl FnOnce(&[u8]) -> Result<Inspection, InspectFailure>,
) -> Result<Judgement, BundleError> {
    let checked = typecase_bundle::check(bundle, &rules.bundle)?;
    let manifest = checked.manifest.clone();
    let mut objections = Vec::new();
    if let Some(asked) = app.filter(|app| **app != manifest.app.name) {
        let (asked, manifest) = (asked.clone(), manifest.app.name.clone());
        objections.push(Objection::AppMismatch { asked, manifest });
    }
    objections.extend(manifest.unsupported().into_iter().map(Objection::Unsupported));
    let limits = match manifest.resolve_limits(&rules.limits) {
        Ok(limits) => Some(limits),
        Err(above) => {
            objections.extend(above.into_iter().map(Objection::Limit));
            None
        }
    };
    let component = match checked.component()? {
        Some(bytes) => match inspect(&bytes) {
            Ok(inspection) => Some(Component { size_bytes: bytes.len() as u64, inspection }),
            Err(InspectFailure::Refused(error)) => {
                objections.push(Objection::Component(error));
                None
            }
            Err(InspectFailure::Host(source)) => {
                let path = bundle.to_owned();
                return Err(BundleError::Io { action: "look at the component in", path, source });
            }
        },
        None => None,
    };
    if let (Some(limits), Some(tool)) =
        (&limits, component.as_ref().and_then(|made| made.inspection.single_use.clone()))
        && limits.reuse > 1
    {
        objections.push(Objection::Reuse { asked: limits.reuse, tool });
    }
    Ok(Judgement { manifest, limits, component, assets: checked.assets_len(), objections })
}
