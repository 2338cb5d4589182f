//! Which files of a project matter, and what for.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::changes::Kind;
use super::glob::{Pattern, normal};

/// A project, as far as its files are watched. Relative paths are relative to this process's folder.
#[derive(Debug, Clone)]
pub struct Watching {
    pub folder: PathBuf,
    pub manifest_file: PathBuf,
    /// Below this folder lie the sources; none when nothing is built.
    pub sources: Option<PathBuf>,
    /// Relative to `sources`; none: everything but what builds and package managers write.
    pub patterns: Vec<String>,
    pub component: Option<PathBuf>,
    pub assets: Option<PathBuf>,
    /// Written by ourselves.
    pub data: PathBuf,
}

/// Written by tools, wherever they stand.
const IGNORED_FOLDERS: [&str; 5] = ["target", "node_modules", "__pycache__", "venv", "bower_components"];
/// Written by tools where they stand beside the sources; deeper down they are somebody's modules.
const IGNORED_TOP_FOLDERS: [&str; 3] = ["dist", "build", "out"];
/// Written by package managers in the course of a build.
const IGNORED_FILES: [&str; 6] =
    ["Cargo.lock", "package-lock.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock", "go.sum"];

/// The paths of a project, absolute and without detours.
#[derive(Debug)]
pub struct Rules {
    folder: PathBuf,
    manifest_file: PathBuf,
    sources: Option<PathBuf>,
    patterns: Vec<Pattern>,
    component: Option<PathBuf>,
    assets: Option<PathBuf>,
    data: PathBuf,
    /// As they are shown.
    ignored: HashSet<String>,
}

impl Rules {
    pub fn new(watching: &Watching) -> Self {
        let absolute = |path: &PathBuf| normal(&std::path::absolute(path).unwrap_or_else(|_| path.clone()));
        let sources = watching.sources.as_ref().map(absolute);
        let patterns = sources
            .iter()
            .flat_map(|sources| watching.patterns.iter().map(|pattern| Pattern::new(sources, pattern)));
        Self {
            folder: absolute(&watching.folder),
            manifest_file: absolute(&watching.manifest_file),
            patterns: patterns.collect(),
            sources,
            component: watching.component.as_ref().map(absolute),
            assets: watching.assets.as_ref().map(absolute),
            data: absolute(&watching.data),
            ignored: HashSet::new(),
        }
    }

    /// The same project with another manifest.
    pub fn replaced(&mut self, watching: &Watching) {
        let ignored = std::mem::take(&mut self.ignored);
        *self = Self { ignored, ..Self::new(watching) };
    }

    pub fn ignore<'a>(&mut self, paths: impl Iterator<Item = &'a str>) {
        self.ignored.extend(paths.map(str::to_owned));
    }

    /// What a file is to the project; none if it is nothing.
    pub fn kind_of(&self, path: &Path) -> Option<Kind> {
        if path == self.manifest_file {
            return Some(Kind::Manifest);
        }
        if path.starts_with(&self.data) || is_temporary(path) || self.is_ignored(path) {
            return None;
        }
        if self.assets.as_ref().is_some_and(|assets| path.starts_with(assets)) {
            return Some(Kind::Content);
        }
        let is_component = self.component.as_deref() == Some(path);
        let Some(sources) = &self.sources else { return is_component.then_some(Kind::Content) };
        let is_source = match self.patterns.is_empty() {
            true => path.starts_with(sources) && !is_made(path, sources),
            false => self.patterns.iter().any(|pattern| pattern.matches(path)),
        };
        (is_source && !is_component).then_some(Kind::Source)
    }

    /// Whether anything that matters may lie in a folder.
    pub fn wants_folder(&self, folder: &Path) -> bool {
        if folder.starts_with(&self.data) {
            return false;
        }
        let leads_to = |to: &Option<PathBuf>| to.as_ref().is_some_and(|to| to.starts_with(folder));
        if self.assets.as_ref().is_some_and(|assets| folder.starts_with(assets)) || leads_to(&self.assets) {
            return true;
        }
        let Some(sources) = &self.sources else { return leads_to(&self.component) };
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match self.patterns.is_empty() {
            true => folder.starts_with(sources) && !is_ignored_folder(name, folder, sources),
            false => {
                let is_named = self.patterns.iter().any(|pattern| pattern.names(name));
                let roots: Vec<PathBuf> = self.patterns.iter().map(Pattern::root).collect();
                let is_within = roots.iter().any(|root| folder.starts_with(root) || root.starts_with(folder));
                is_within && (is_named || !is_ignored_folder(name, folder, sources))
            }
        }
    }

    /// Folders to begin with.
    pub fn roots(&self) -> Vec<PathBuf> {
        let parent = |path: &PathBuf| path.parent().map(Path::to_owned);
        let mut roots: Vec<PathBuf> = parent(&self.manifest_file).into_iter().collect();
        roots.extend(self.assets.clone());
        match &self.sources {
            None => roots.extend(self.component.as_ref().and_then(parent)),
            Some(sources) if self.patterns.is_empty() => roots.push(sources.clone()),
            Some(_) => roots.extend(self.patterns.iter().map(Pattern::root)),
        }
        roots
    }

    fn is_ignored(&self, path: &Path) -> bool {
        !self.ignored.is_empty() && self.ignored.contains(&self.shown(path))
    }

    /// As the author would call it.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).display().to_string()
    }
}

fn is_ignored_folder(name: &str, folder: &Path, sources: &Path) -> bool {
    name.starts_with('.')
        || IGNORED_FOLDERS.contains(&name)
        || IGNORED_TOP_FOLDERS.contains(&name) && folder.parent() == Some(sources)
}

/// Whether something below the sources is made by a tool rather than by the author.
fn is_made(path: &Path, sources: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut folders = path.ancestors().skip(1).take_while(|folder| *folder != sources);
    name.starts_with('.')
        || name.ends_with(".wasm")
        || IGNORED_FILES.contains(&name)
        || folders.any(|folder| {
            let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            is_ignored_folder(name, folder, sources)
        })
}

/// What editors write beside a file and take away again.
fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // vim tries whether it may write with this name.
    name == "4913"
        || name.ends_with('~')
        || name.starts_with(".#")
        || name.starts_with('#') && name.ends_with('#')
        || [".swp", ".swx", ".swo", ".tmp", ".part"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(sources: Option<&str>, patterns: &[&str]) -> Rules {
        Rules::new(&Watching {
            folder: "/p".into(),
            manifest_file: "/p/typecase.toml".into(),
            sources: sources.map(PathBuf::from),
            patterns: patterns.iter().map(|pattern| (*pattern).to_owned()).collect(),
            component: Some("/p/target/wasm32-wasip2/release/app.wasm".into()),
            assets: Some("/p/static".into()),
            data: "/p/.typecase/dev".into(),
        })
    }

    #[test]
    fn what_files_are() {
        let unbuilt = rules(None, &[]);
        let built = rules(Some("/p"), &[]);
        let narrow = rules(Some("/p"), &["src/**/*.rs", "target/codegen/*.rs"]);
        let (m, s, c) = (Some(Kind::Manifest), Some(Kind::Source), Some(Kind::Content));
        for (path, expected) in [
            ("typecase.toml", [m, m, m]),
            ("static/index.html", [c, c, c]),
            ("static/dist/.well-known/a", [c, c, c]),
            ("static/index.html~", [None, None, None]),
            ("src/lib.rs", [None, s, s]),
            ("src/build/mod.rs", [None, s, s]),
            ("src/query.sql", [None, s, None]),
            ("build/out.js", [None, None, None]),
            ("Cargo.toml", [None, s, None]),
            ("Cargo.lock", [None, None, None]),
            (".env", [None, None, None]),
            (".git/HEAD", [None, None, None]),
            ("target/codegen/a.rs", [None, None, s]),
            ("target/wasm32-wasip2/release/app.wasm", [c, None, None]),
            (".typecase/dev/typecase.db", [None, None, None]),
        ] {
            let path = Path::new("/p").join(path);
            let found = [&unbuilt, &built, &narrow].map(|rules| rules.kind_of(&path));
            assert_eq!(found, expected, "{}", path.display());
        }
        for (folder, expected) in [
            ("src", [false, true, true]),
            ("target", [true, false, true]),
            ("node_modules", [false, false, false]),
            ("static/img", [true, true, true]),
            (".typecase/dev", [false, false, false]),
        ] {
            let folder = Path::new("/p").join(folder);
            let found = [&unbuilt, &built, &narrow].map(|rules| rules.wants_folder(&folder));
            assert_eq!(found, expected, "{}", folder.display());
        }
    }
}
