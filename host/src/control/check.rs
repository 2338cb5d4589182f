//! Checking: what a publish of an upload would come to. Nothing is stored and nothing is announced.

use typecase_model::{AppName, ConfigProblem, Manifest};
use typecase_store::StoreError;

use super::publish::Judged;
use super::upload::Uploaded;
use super::{Control, ControlError};
use crate::judge::{Finding, Replaced, Report};

impl Control {
    /// Judges an upload as a publish does, and goes on where a publish would stop.
    pub async fn check(&self, app: &AppName, uploaded: Uploaded) -> Result<Report, ControlError> {
        let Judged { bundle, size_bytes, judgement } = self.judge(app, uploaded).await?;
        let judgement = match judgement {
            Err(error) if !error.is_publishers_fault() => return Err(error.into()),
            judgement => judgement,
        };
        let mut report = Report::new(app.clone(), bundle.digest, size_bytes, &judgement);
        if let Ok(judgement) = &judgement {
            self.check_hosts(app, &judgement.manifest, &mut report).await?;
            self.check_config(app, &judgement.manifest, &mut report).await?;
        }
        self.check_app(app, &mut report).await?;
        Ok(report)
    }

    async fn check_hosts(
        &self,
        app: &AppName,
        manifest: &Manifest,
        report: &mut Report,
    ) -> Result<(), ControlError> {
        for (index, owner) in self.taken_hosts(app, manifest).await? {
            let host = manifest.app.hosts[index].clone();
            let error = ControlError::from(StoreError::HostTaken { host, owner });
            let place = ["app", "hosts", &index.to_string()];
            report.object(Finding::new(error.code(), error.to_string()).at(&place));
        }
        Ok(())
    }

    async fn check_config(
        &self,
        app: &AppName,
        manifest: &Manifest,
        report: &mut Report,
    ) -> Result<(), ControlError> {
        if manifest.config.is_empty() {
            return Ok(());
        }
        let Err(incomplete) = manifest.resolve_config(&self.stored_config(app).await?) else {
            return Ok(());
        };
        for problem in &incomplete.problems {
            let (ConfigProblem::Missing { name, .. } | ConfigProblem::Unreadable { name, .. }) = problem;
            let message = incomplete.describe(problem);
            report.object(Finding::new("config-incomplete", message).at(&["config", name]));
        }
        Ok(())
    }

    /// What is there under the name, and whether it stands in the way.
    async fn check_app(&self, app: &AppName, report: &mut Report) -> Result<(), ControlError> {
        let details = match self.app(app).await {
            Err(ControlError::Store(StoreError::NotFound(_))) => return Ok(()),
            details => details?,
        };
        report.replaces = details.active.map(|active| Replaced {
            release: active.number,
            same: active.digest == report.digest,
            publisher: active.publisher,
        });
        if let Some(candidate) = details.app.candidate {
            report.warnings.push(Finding::new(
                "rollout-in-progress",
                format!("release {candidate} is being rolled out: a publish is refused until that has ended"),
            ));
        }
        Ok(())
    }
}
