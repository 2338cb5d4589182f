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
    /// A phrase; without a token, why there is none.
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
    if let Some(path) = global.data.as_ref().map(|data| data.join(CLI_TOKEN_FILE)) {
        return match path.exists() {
            true => read(&path, "--data"),
            // Perhaps no node runs yet: then that is the better message.
            false => Ok(Credentials { token: None, origin: format!("there is no {}", path.display()) }),
        };
    }
    // A token that is admin here must not be shown to just any server that a URL names.
    if server.is_loopback()
        && let Some(path) = data_dirs().iter().map(|dir| dir.join(CLI_TOKEN_FILE)).find(|path| path.exists())
    {
        return read(&path, "the data folder");
    }
    Ok(Credentials { token: None, origin: "no token was given".to_owned() })
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
            Err(Failure::local(Exit::NotAllowed, "token-unreadable", format!("{source}: {problem}")).advise(
                "run the command as the user who may read it, or give a token with --token".to_owned(),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The token that is found with a data folder given, and without one for a server.
    fn token(data: Option<&Path>, server: &str) -> Option<String> {
        let global = GlobalArguments {
            server: server.to_owned(),
            token: None,
            data: data.map(Path::to_owned),
            json: false,
        };
        let found = find(&global, &Server::parse(server).unwrap()).unwrap();
        found.token.map(|token| token.expose().to_owned())
    }

    #[test]
    fn the_nodes_own_token_goes_nowhere_else_unasked() {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join(CLI_TOKEN_FILE), "secret\n").unwrap();
        assert_eq!(token(Some(data.path()), "http://127.0.0.1:22345").as_deref(), Some("secret"));
        assert_eq!(token(Some(data.path()), "http://10.0.0.1:22345").as_deref(), Some("secret"));
        assert_eq!(token(None, "http://10.0.0.1:22345"), None);
        assert_eq!(token(Some(&data.path().join("no-node-here")), "http://127.0.0.1:22345"), None);
    }
}
