//! Where the node of a project keeps its data: in the project, out of version control, so that what was configured is
//! there the next day, and gone with the folder.

use std::fs;
use std::path::PathBuf;

use crate::cli::GlobalArguments;
use crate::cli::failure::{Exit, Failure};
use crate::cli::project::Project;

/// In the project's folder; other commands keep things there too.
const FOLDER: &str = ".typecase";

/// The data folder, made when it is missing.
pub fn folder(global: &GlobalArguments, project: &Project) -> Result<PathBuf, Failure> {
    let own = project.folder().join(FOLDER);
    let data = global.data.clone().unwrap_or_else(|| own.join("dev"));
    let made = fs::create_dir_all(&data).and_then(|()| {
        let ignored = own.join(".gitignore");
        if data.starts_with(&own) && !ignored.exists() {
            fs::write(ignored, "*\n")?;
        }
        std::path::absolute(&data)
    });
    made.map_err(|error| {
        let detail = format!("cannot make {}: {error}", data.display());
        Failure::local(Exit::Failed, "data-folder", detail)
            .advise("give another folder with --data DIR".to_owned())
    })
}
