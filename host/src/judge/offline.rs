//! The judgement without a server: what depends on an operator is a warning, because yours may allow more.

use std::path::Path;

use typecase_bundle::{BUNDLE_BYTES_MAX, BundlePolicy};
use typecase_model::{AppName, Digest, LimitPolicy};

use super::{Finding, Objection, Report, Rules, judge};

/// Looks at a bundle by the rules of every server; `app` is the name it would be published under.
pub fn judge_offline(bundle: &Path, app: &AppName, digest: Digest, size_bytes: u64) -> Report {
    let preset = BundlePolicy::default();
    let rules = Rules {
        bundle: BundlePolicy { bundle_bytes_max: BUNDLE_BYTES_MAX, ..preset },
        limits: LimitPolicy::default(),
    };
    // In this process: what it meets was made on this machine.
    let inspect = |component: &[u8]| Ok(typecase_runtime::inspect(component)?.0);
    let mut judged = judge(bundle, Some(app), &rules, inspect);
    let mut warnings = Vec::new();
    if let Ok(judgement) = &mut judged {
        let limits =
            judgement.objections.extract_if(.., |objection| matches!(objection, Objection::Limit(_)));
        for objection in limits {
            let Objection::Limit(error) = &objection else { continue };
            let message = format!(
                "{} = {} is above {}, the maximum of a server whose operator changed nothing",
                error.key, error.asked, error.max
            );
            warnings.push(Finding { message, ..Finding::from(&objection) });
        }
    }
    if size_bytes > preset.bundle_bytes_max {
        let message = format!(
            "the bundle has {size_bytes} bytes, and a server whose operator changed nothing takes {}",
            preset.bundle_bytes_max
        );
        warnings.push(Finding::new("bundle-too-large", message));
    }
    let mut report = Report::new(app.clone(), digest, size_bytes, &judged);
    report.warnings.splice(0..0, warnings);
    report
}
