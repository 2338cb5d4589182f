//! `typecase check [PATH]`: what a publish would come to, without publishing.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use typecase_bundle::BUNDLE_BYTES_MAX;
use typecase_model::AppName;

use super::answer::Answer;
use super::client::Client;
use super::failure::Failure;
use super::local_bundle::LocalBundle;
use super::progress::Progress;
use super::publish::Admitted;
use super::report::{self, Shown};
use super::{GlobalArguments, bundle_source, publish, rollout};
use crate::judge::{Report, judge_offline};

/// The server may have others to judge first, and the largest bundles take seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
pub struct CheckArguments {
    /// A project folder (this one unless told), a bundle (.zip) or a bare component (.wasm, needs --name).
    #[arg(default_value = ".", hide_default_value = true)]
    path: PathBuf,
    /// The app's name: a bare component needs it, in a manifest it is given already.
    #[arg(long, value_name = "APP")]
    name: Option<AppName>,
    /// Ask no server: judge by what is the same on all of them.
    #[arg(long)]
    offline: bool,
}

pub async fn run(global: &GlobalArguments, arguments: CheckArguments) -> Result<Answer, Failure> {
    let CheckArguments { path, name, offline } = arguments;
    let source = bundle_source::find(&path, name.as_ref())?;
    if offline {
        let bundle = source.bundle(BUNDLE_BYTES_MAX)?;
        let app = name.unwrap_or_else(|| bundle.app.clone());
        let report = judge_offline(&bundle.path, &app, bundle.digest, bundle.size_bytes);
        return answer(&report, bundle.manifest.as_ref(), "; no server was asked");
    }
    let client = Client::new(global)?;
    let Admitted { bundle_bytes_max, round_trip } = publish::ask_first(&client).await?;
    let bundle = source.bundle(bundle_bytes_max)?;
    let manifest = bundle.manifest.clone();
    let app = name.unwrap_or_else(|| bundle.app.clone());
    answer(&ask(&client, app, bundle, round_trip).await?, manifest.as_ref(), " to the server")
}

async fn ask(
    client: &Client,
    app: AppName,
    mut bundle: LocalBundle,
    round_trip: Duration,
) -> Result<Report, Failure> {
    bundle.unlink();
    let query = [("digest", bundle.digest.to_string())];
    let timeout = publish::upload_time(bundle.size_bytes) + ANSWER_TIMEOUT;
    let progress = Progress::upload(format!("{app}"), bundle.size_bytes);
    let upload = publish::upload(bundle.file, bundle.size_bytes, round_trip, &progress, "checking");
    let result = client.post_upload(&format!("/api/v1/apps/{app}/check"), &query, upload, timeout).await;
    progress.clear();
    rollout::parse(&result?)
}

fn answer(report: &Report, manifest: Option<&Shown>, place: &str) -> Result<Answer, Failure> {
    let document = report::verdict(report, manifest)?;
    let mut facts = report::facts(report);
    let headline = match &report.replaces {
        Some(replaced) if replaced.same => {
            format!("{} is acceptable{place}, and serves already as release {}", report.app, replaced.release)
        }
        _ => format!("{} is acceptable{place}", report.app),
    };
    if let Some(replaced) = report.replaces.as_ref().filter(|replaced| !replaced.same) {
        facts
            .push(("replaces", format!("release {}, published by {}", replaced.release, replaced.publisher)));
    }
    let text = report::lines(headline, &facts) + &report::warnings(report, manifest);
    Ok(Answer::done(document, text))
}
