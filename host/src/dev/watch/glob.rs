//! Patterns of `[build] watch`: `*` and `?` within a name, `**` across folders; without any of these, a file or all
//! below a folder.

use std::path::{Component, Path, PathBuf};

#[derive(Debug, Clone)]
pub struct Pattern {
    /// Absolute, without `.` and `..`.
    parts: Vec<String>,
    is_literal: bool,
}

impl Pattern {
    /// `base` is absolute; a pattern may lead out of it.
    pub fn new(base: &Path, text: &str) -> Self {
        let parts: Vec<String> = parts(&normal(&base.join(text))).map(str::to_owned).collect();
        let is_literal = !text.contains(['*', '?']);
        Self { parts, is_literal }
    }

    pub fn matches(&self, path: &Path) -> bool {
        let pattern: Vec<&str> = self.parts.iter().map(String::as_str).collect();
        let path: Vec<&str> = parts(path).collect();
        match self.is_literal {
            true => path.starts_with(&pattern),
            false => match_parts(&pattern, &path),
        }
    }

    /// The folder that everything it can match lies in.
    pub fn root(&self) -> PathBuf {
        let literal = self.parts.iter().take_while(|part| !part.contains(['*', '?'])).count();
        // The last part of a pattern may be a file's name.
        let folders = literal.min(self.parts.len().saturating_sub(1));
        let mut root = PathBuf::from("/");
        root.extend(&self.parts[..folders]);
        let whole = root.join(self.parts.last().map_or("", String::as_str));
        if self.is_literal && whole.is_dir() { whole } else { root }
    }

    /// Whether the author wrote this very name.
    pub fn names(&self, name: &str) -> bool {
        self.parts.iter().any(|part| part == name)
    }
}

/// Without `.` and `..`; links are not followed.
pub fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

/// Names that are not Unicode match nothing but `*`.
fn parts(path: &Path) -> impl Iterator<Item = &str> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_str().unwrap_or("\u{fffd}")),
        _ => None,
    })
}

fn match_parts(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], rest) => rest.is_empty(),
        (["**"], rest) => !rest.is_empty(),
        (["**", pattern @ ..], rest) => (0..=rest.len()).any(|start| match_parts(pattern, &rest[start..])),
        ([first, pattern @ ..], [name, path @ ..]) => {
            match_name(first.as_bytes(), name.as_bytes()) && match_parts(pattern, path)
        }
        (_, []) => false,
    }
}

/// Bytes are enough: `?` may then stand for a part of a character, and `*` for any.
fn match_name(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|start| match_name(rest, &name[start..])),
        ([b'?', pattern @ ..], [_, name @ ..]) => match_name(pattern, name),
        ([wanted, pattern @ ..], [found, name @ ..]) if wanted == found => match_name(pattern, name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("src/**/*.rs", "src/lib.rs", true),
            ("src/**/*.rs", "src/a/b/c.rs", true),
            ("src/**/*.rs", "src/a/b/c.toml", false),
            ("src/**/*.rs", "tests/a.rs", false),
            ("**/*.py", "app.py", true),
            ("**", "a/b", true),
            ("*.toml", "Cargo.toml", true),
            ("*.toml", "a/Cargo.toml", false),
            ("Cargo.toml", "Cargo.toml", true),
            ("src", "src/a/b.rs", true),
            ("src/", "src/a", true),
            ("src", "srcs/a", false),
            ("./src/?.rs", "src/a.rs", true),
            ("./src/?.rs", "src/ab.rs", false),
            ("../shared/**/*.rs", "../shared/src/lib.rs", true),
        ] {
            let base = Path::new("/p/app");
            let path = normal(&base.join(path));
            assert_eq!(Pattern::new(base, pattern).matches(&path), expected, "{pattern} {}", path.display());
        }
    }

    #[test]
    fn roots() {
        let root = |pattern: &str| Pattern::new(Path::new("/p/app"), pattern).root();
        assert_eq!(root("src/**/*.rs"), Path::new("/p/app/src"));
        assert_eq!(root("Cargo.toml"), Path::new("/p/app"));
        assert_eq!(root("../shared/*/x"), Path::new("/p/shared"));
        assert_eq!(root("**/*.rs"), Path::new("/p/app"));
    }
}
