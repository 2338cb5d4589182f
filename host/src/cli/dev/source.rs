//! What the author points at: a project's folder, or a component that somebody else builds.

use std::path::PathBuf;

use typecase_model::AppName;

use crate::cli::failure::{Exit, Failure};
use crate::cli::project::Project;

#[derive(Debug, Clone)]
pub struct Source {
    pub path: PathBuf,
    /// Of a bare component.
    pub name: Option<AppName>,
}

impl Source {
    /// Read as it is now.
    pub fn open(&self) -> Result<Project, Failure> {
        if self.path.extension().is_some_and(|extension| extension == "wasm") {
            return Project::of_component(&self.path, self.name.as_ref());
        }
        if self.name.is_some() {
            let detail = "--name is for a bare component: a project's manifest says what its app is called";
            return Err(Failure::local(Exit::Usage, "name-given-twice", detail.to_owned()));
        }
        Project::open(&self.path)
    }
}
