//! `typecase build [PATH]`: run the project's build command, judge what came out as a server would, write the bundle.

use std::fs;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use tempfile::NamedTempFile;
use tokio::signal::unix::{SignalKind, signal};
use typecase_model::AppName;

use super::answer::Answer;
use super::failure::{Exit, Failure};
use super::local_bundle::LocalBundle;
use super::progress::Progress;
use super::project::{BuildOutput, Built, Project};
use super::{report, text};
use crate::judge::{Report, judge_offline};

/// What this program writes into a project's folder, besides what its commands write.
const FOLDER: &str = ".typecase";

#[derive(Debug, Args)]
pub struct BuildArguments {
    /// The project's folder.
    #[arg(default_value = ".", hide_default_value = true)]
    path: PathBuf,
    /// Where to write the bundle; `.typecase/APP.zip` in the project's folder unless told.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub async fn run(arguments: BuildArguments) -> Result<Answer, Failure> {
    let project = Project::open(&arguments.path)?;
    let app = project.manifest().app.name.clone();
    let output = match arguments.output {
        Some(output) if may_be_replaced(&output) => output,
        Some(output) => {
            let detail = format!("{} is there and is no bundle: name another file", output.display());
            return Err(Failure::local(Exit::Usage, "output-taken", detail));
        }
        None => own_output(&project, &app).map_err(|error| not_written(project.folder(), &error))?,
    };
    let started = Instant::now();
    let built = build(&project).await?;

    let progress = Progress::waiting("packing and checking".to_owned());
    let report = judged_here(&project.pack()?, &app, &output);
    progress.clear();
    let manifest = project.shown();
    let mut document = report::verdict(&report?, manifest.as_ref())?;
    let report: Report = super::rollout::parse(&document)?;

    document["bundle"] = output.display().to_string().into();
    document["build_ms"] = text::millis(built.duration).into();
    document["duration_ms"] = text::millis(started.elapsed()).into();
    let mut facts = report::facts(&report);
    facts.extend(report::required_config(project.manifest()));
    let took = text::duration(text::millis(started.elapsed()));
    let headline = format!("{app} is built: {} ({took})", output.display());
    let text = report::lines(headline, &facts) + &report::warnings(&report, manifest.as_ref());
    Ok(Answer::done(document, text))
}

/// Runs the build command: at a terminal its output is seen as it comes, else only when it fails.
pub async fn build(project: &Project) -> Result<Built, Failure> {
    let is_terminal = io::stderr().is_terminal();
    if let Some(build) = project.manifest().build.as_ref().filter(|_| is_terminal) {
        eprintln!("building {}: {}", project.manifest().app.name, build.command);
    }
    let output = if is_terminal { BuildOutput::Copied } else { BuildOutput::Captured };
    let unheard = |error: io::Error| Failure::local(Exit::Failed, "no-signals", error.to_string());
    let mut interrupts = signal(SignalKind::interrupt()).map_err(unheard)?;
    let mut ends = signal(SignalKind::terminate()).map_err(unheard)?;
    // The command is in a process group of its own, which the terminal's Ctrl-C does not reach.
    tokio::select! {
        built = project.build(output) => built.map_err(|failed| {
            let mut failure = failed.failure;
            // What was shown already is not said again.
            if !is_terminal && !failed.output.is_empty() {
                failure.document["output"] = failed.output.into();
            }
            failure
        }),
        _ = interrupts.recv() => Err(interrupted()),
        _ = ends.recv() => Err(interrupted()),
    }
}

fn interrupted() -> Failure {
    Failure::local(Exit::Failed, "interrupted", "the build was interrupted".to_owned())
}

/// Judges without a server, and keeps the bundle if it is acceptable.
fn judged_here(bundle: &LocalBundle, app: &AppName, output: &Path) -> Result<Report, Failure> {
    let report = judge_offline(&bundle.path, app, bundle.digest, bundle.size_bytes);
    if report.accepted {
        save(&bundle.path, output).map_err(|error| not_written(output, &error))?;
    }
    Ok(report)
}

/// The bundle's place in the project. An older one is removed: after a failed build there is none to publish.
fn own_output(project: &Project, app: &AppName) -> io::Result<PathBuf> {
    let folder = project.folder().join(FOLDER);
    fs::create_dir_all(&folder)?;
    let ignored = folder.join(".gitignore");
    if !ignored.exists() {
        fs::write(ignored, "*\n")?;
    }
    let output = folder.join(format!("{app}.zip"));
    match fs::remove_file(&output) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(output),
    }
}

/// A mistyped name must not cost anybody a file, nor the machine a device. A bundle is a zip archive.
fn may_be_replaced(output: &Path) -> bool {
    const ZIP_START: &[u8] = b"PK";
    match fs::symlink_metadata(output) {
        Err(_) => true,
        Ok(meta) if !meta.is_file() => false,
        Ok(meta) if meta.len() == 0 => true,
        Ok(_) => {
            let mut start = [0; ZIP_START.len()];
            let read = fs::File::open(output).and_then(|mut file| file.read_exact(&mut start));
            read.is_ok_and(|()| start == ZIP_START)
        }
    }
}

/// In one step: whoever looks meets no half of a bundle.
fn save(bundle: &Path, output: &Path) -> io::Result<()> {
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder)?;
    io::copy(&mut fs::File::open(bundle)?, &mut file)?;
    // Not private as temporary files are: others may publish it.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode)?;
    file.persist(output)?;
    Ok(())
}

fn not_written(path: &Path, error: &io::Error) -> Failure {
    let detail = format!("cannot write {}: {error}", path.display());
    Failure::local(Exit::Failed, "not-written", detail)
}
