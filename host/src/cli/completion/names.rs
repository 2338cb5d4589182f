//! Names that only a server knows. Whoever pressed TAB waits: a server that is not there means no names, soon.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use typecase_model::settings::SETTING_KEYS;

use crate::cli::client::Client;
use crate::cli::{GlobalArguments, server};

/// Longer than a server nearby takes, shorter than a person at a prompt.
const TIMEOUT: Duration = Duration::from_millis(600);
/// No shell shows more in a useful way.
const NAMES_MAX: usize = 1_000;
/// No name of ours is longer.
const NAME_BYTES_MAX: usize = 128;

pub fn apps() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| of_server(typed, "/api/v1/apps", "apps"))
}

pub fn nodes() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| of_server(typed, "/api/v1/nodes", "nodes"))
}

pub fn tokens() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| of_server(typed, "/api/v1/tokens", "tokens"))
}

/// Followed by `suffix`.
pub fn setting_keys(suffix: &'static str) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| {
        let keys: Vec<String> = SETTING_KEYS.iter().map(|key| format!("{}{suffix}", key.name)).collect();
        starting_with(typed, &keys)
    })
}

fn of_server(typed: &OsStr, path: &str, list: &str) -> Vec<CompletionCandidate> {
    // An option is being typed, and nobody is named like one.
    if typed.as_encoded_bytes().starts_with(b"-") {
        return Vec::new();
    }
    starting_with(typed, &asked(path, list))
}

fn starting_with(typed: &OsStr, names: &[String]) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let fitting = names.iter().filter(|name| name.starts_with(&*typed));
    fitting.take(NAMES_MAX).map(CompletionCandidate::new).collect()
}

/// The names in a list of the server's; none if it does not say, for whatever reason.
fn asked(path: &str, list: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (Ok(client), Ok(runtime)) = (Client::new(&global(std::env::args_os())), runtime) else {
        return Vec::new();
    };
    let answer = runtime.block_on(async { tokio::time::timeout(TIMEOUT, client.get(path)).await });
    // A resolver that hangs must not be waited for.
    runtime.shutdown_background();
    let Ok(Ok(answer)) = answer else { return Vec::new() };
    let names = answer[list].as_array().into_iter().flatten();
    names
        .filter_map(|entry| entry["name"].as_str())
        .filter(|name| is_plain(name))
        .map(str::to_owned)
        .collect()
}

/// A shell puts names into its line as they are, where anything else could mean something.
fn is_plain(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The options that say where the server is, in a line that is not finished yet.
fn global(line: impl IntoIterator<Item = OsString>) -> GlobalArguments {
    let words: Vec<String> = line.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let given = |option: &str| {
        let after = |(at, word): (usize, &String)| match word.strip_prefix(option)? {
            "" => words.get(at + 1).cloned(),
            rest => rest.strip_prefix('=').map(str::to_owned),
        };
        words.iter().enumerate().find_map(after)
    };
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    GlobalArguments {
        server: given("--server")
            .or_else(|| environment("TYPECASE_SERVER"))
            .unwrap_or_else(|| server::USUAL_SERVER.to_owned()),
        token: given("--token").or_else(|| environment("TYPECASE_TOKEN")),
        data: given("--data").map(PathBuf::from),
        json: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_means_something_to_a_shell_is_not_offered() {
        for (name, plain) in
            [("hello-2", true), ("n1.example", true), ("x;id", false), ("*", false), ("a b", false)]
        {
            assert_eq!(is_plain(name), plain, "{name}");
        }
    }

    #[test]
    fn the_line_says_which_server_to_ask() {
        let global = |line: &str| global(line.split(' ').map(OsString::from));
        let found = global("typecase -- typecase --server http://a:1 logs --data=/d --token t he");
        assert_eq!(found.server, "http://a:1");
        assert_eq!((found.data, found.token.as_deref()), (Some("/d".into()), Some("t")));
        // The word that is being typed.
        assert_eq!(global("typecase -- typecase logs --data").data, None);
        assert_eq!(global("typecase -- typecase logs --database x").data, None);
    }
}
