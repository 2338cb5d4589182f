//! From what the user points at to a bundle: a folder and a component are packed, a zip is taken as it is. Whether
//! a bundle is acceptable is judged by the server alone; what is too large for any is refused here.

use std::path::{Path, PathBuf};

use typecase_bundle::{LargeFile, PackError, Plan};
use typecase_model::AppName;

use super::failure::{Exit, Failure};
use super::local_bundle::{LocalBundle, packed, refused, zipped};
use super::project::Project;
use super::report::Shown;

/// What was pointed at, as far as it is known without reading all of it.
#[derive(Debug)]
pub enum Source {
    Plan {
        plan: Box<Plan>,
        manifest: Option<Shown>,
    },
    Zip {
        path: PathBuf,
        size_bytes: u64,
        /// What is told instead of the manifest's name.
        name: Option<AppName>,
    },
}

/// Finds everything that goes into the bundle; nothing is compressed yet.
pub fn find(path: &Path, name: Option<&AppName>) -> Result<Source, Failure> {
    let shown = path.display();
    let usage = |detail: String| Err(Failure::local(Exit::Usage, "publish-path", detail));
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match (std::fs::metadata(path), extension) {
        (Err(error), _) => usage(format!("{shown}: {error}")),
        (Ok(meta), _) if meta.is_dir() => of_project(&Project::open(path)?),
        (Ok(_), "toml") => of_project(&Project::open(path)?),
        (Ok(meta), "zip") => {
            Ok(Source::Zip { path: path.to_owned(), size_bytes: meta.len(), name: name.cloned() })
        }
        (Ok(_), "wasm") => match name {
            Some(name) => {
                let plan = Plan::of_component(name, path).map_err(|error| refused(&error))?;
                Ok(Source::Plan { plan: Box::new(plan), manifest: None })
            }
            None => usage(format!("{shown} has no manifest: name the app with --name APP")),
        },
        (Ok(_), _) => usage(format!("{shown}: give a project folder, a .zip bundle or a .wasm component")),
    }
}

fn of_project(project: &Project) -> Result<Source, Failure> {
    Ok(Source::Plan { plan: Box::new(project.plan()?), manifest: project.shown() })
}

impl Source {
    /// The bundle, unless it is larger than what will be taken.
    pub fn bundle(self, bytes_max: u64) -> Result<LocalBundle, Failure> {
        match self {
            Self::Plan { plan, manifest } => {
                let mut bundle = packed(plan.pack(bytes_max).map_err(|error| refused(&error))?)?;
                bundle.manifest = manifest;
                Ok(bundle)
            }
            Self::Zip { path, size_bytes, .. } if size_bytes > bytes_max => {
                let largest = vec![LargeFile { path, bytes: size_bytes }];
                Err(refused(&PackError::BundleTooLarge { max: bytes_max, largest }))
            }
            Self::Zip { path, name, .. } => zipped(&path, name.as_ref()),
        }
    }
}
