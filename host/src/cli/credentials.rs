//! Finds the API token: given, in a file, or beside a node's own data.

use std::path::{Path, PathBuf};

use super::GlobalArguments;
use super::failure::{Exit, Failure};
use super::server::Server;
use crate::config::{Secret, data_dir_default};

/// Every node writes this file, readable by its own user alone; it acts as admin on that node.
pub const CLI_TOKEN_FILE: &str = "cli-token";

/// A folder that a node started here with `--data typecase-data` would use.
const DATA_DIR_HERE: &str = "typecase-data";

/// A token and where it came from, so that a refusal can say which one was refused.
#[derive(Debug)]
pub struct Credentials {
    pub token: Option<Secret>,
    pub origin: String,
}

pub fn find(global: &GlobalArguments, server: &Server) -> Result<Credentials, Failure> {
    if let Some(token) = global.token.as_deref().map(str::trim).filter(|token| !token.is_empty()) {
        return Ok(Credentials {
            token: Some(Secret::new(token.to_owned())),
            origin: "the token from --token or TYPECASE_TOKEN".to_owned(),
        });
    }
    if let Some(path) = std::env::var_os("TYPECASE_TOKEN_FILE") {
        return read(Path::new(&path), "TYPECASE_TOKEN_FILE");
    }
    if let Some(data) = &global.data {
        return read(&data.join(CLI_TOKEN_FILE), "--data");
    }
    // A token that is admin here must not be shown to just any server that a URL names.
    if server.is_loopback()
        && let Some(path) = data_dirs().iter().map(|dir| dir.join(CLI_TOKEN_FILE)).find(|path| path.exists())
    {
        return read(&path, "the data folder");
    }
    Ok(Credentials { token: None, origin: String::new() })
}

/// Where a node of this machine may keep its data, most specific first.
pub fn data_dirs() -> Vec<PathBuf> {
    let configured = std::env::var_os("TYPECASE_NODE__DATA").map(PathBuf::from);
    configured.into_iter().chain([PathBuf::from(DATA_DIR_HERE), data_dir_default()]).collect()
}

fn read(path: &Path, source: &str) -> Result<Credentials, Failure> {
    let shown = path.display().to_string();
    match Secret::read(&shown) {
        Ok(token) => Ok(Credentials { token: Some(token), origin: format!("the token in {shown}") }),
        Err(problem) => {
            Err(Failure::local(Exit::NotAllowed, "token-unreadable", format!("{source}: {problem}"))
                .advise("run the command as the node's user, or give a token with --token".to_owned()))
        }
    }
}
