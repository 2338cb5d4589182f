//! The templates: plain files under `sdk/templates`, which are part of this program.

use typecase_model::AppName;

/// What the files call the app.
const PLACEHOLDER: &str = "my-app";

#[derive(Debug)]
pub struct Template {
    pub name: &'static str,
    /// For lists: what comes out.
    pub says: &'static str,
    /// What must be installed, as a sentence.
    pub needs: &'static str,
    /// What it is built with and is part of this program, because it is in no registry yet.
    pub brings: Brings,
    /// Paths with their texts.
    files: &'static [(&'static str, &'static str)],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brings {
    Nothing,
    /// The crate `typecase-sdk`.
    Sdk,
    /// The world that a component targets.
    Wit,
}

macro_rules! files {
    ($folder:literal: $($path:literal)*) => {
        &[$(($path, include_str!(concat!("../../../../sdk/templates/", $folder, "/", $path)))),*]
    };
}

const RUST: &str = "It needs Rust with rustup.";
const NODE: &str = "It needs Node.js 20 or newer, with npm.";
const PYTHON: &str = "It needs Python 3.10 or newer, with venv.";

pub const ALL: &[Template] = &[
    Template {
        name: "rust-http",
        says: "an HTTP app in Rust",
        needs: RUST,
        brings: Brings::Sdk,
        files: files!("rust-http": ".gitignore" "Cargo.toml" "README.md" "rust-toolchain.toml" "src/lib.rs" "src/page.html" "typecase.toml"),
    },
    Template {
        name: "rust-json-api",
        says: "a JSON API in Rust, with config and tests",
        needs: RUST,
        brings: Brings::Sdk,
        files: files!(
            "rust-json-api":
            ".gitignore" "Cargo.toml" "README.md" "rust-toolchain.toml" "src/lib.rs" "src/page.html"
            "src/products.rs" "src/tests.rs" "typecase.toml"
        ),
    },
    Template {
        name: "static-site",
        says: "HTML and CSS, served as they are",
        needs: "It needs nothing else.",
        brings: Brings::Nothing,
        files: files!("static-site": "README.md" "assets/about.html" "assets/index.html" "assets/style.css" "typecase.toml"),
    },
    Template {
        name: "javascript",
        says: "an HTTP app in JavaScript",
        needs: NODE,
        brings: Brings::Wit,
        files: files!(
            "javascript":
            ".gitignore" "README.md" "build.mjs" "package-lock.json" "package.json" "src/app.js" "src/main.js"
            "src/page.js" "stack.mjs" "test/app.test.js" "typecase.toml"
        ),
    },
    Template {
        name: "typescript",
        says: "an HTTP app in TypeScript",
        needs: NODE,
        brings: Brings::Wit,
        files: files!(
            "typescript":
            ".gitignore" "README.md" "build.mjs" "package-lock.json" "package.json" "src/app.ts" "src/main.ts"
            "src/page.ts" "src/server.d.ts" "stack.mjs" "test/app.test.ts" "tsconfig.json" "typecase.toml"
        ),
    },
    Template {
        name: "python",
        says: "an HTTP app in Python",
        needs: PYTHON,
        brings: Brings::Wit,
        files: files!(
            "python":
            ".gitignore" "README.md" "app.py" "build.sh" "main.py" "page.py" "requirements.txt" "test_app.py" "typecase.toml" "web.py"
        ),
    },
];

impl Template {
    /// Its files for an app of this name.
    pub fn files_for(&self, app: &AppName) -> Vec<(String, String)> {
        let named = |text: &str| text.replace(PLACEHOLDER, app.as_str());
        self.files.iter().map(|(path, text)| ((*path).to_owned(), named(text))).collect()
    }

    #[cfg(test)]
    pub fn paths(&self) -> impl Iterator<Item = &'static str> {
        self.files.iter().map(|(path, _)| *path)
    }
}

pub fn parse(name: &str) -> Result<&'static Template, String> {
    let found = ALL.iter().find(|template| template.name == name);
    found.ok_or_else(|| format!("there is no template of this name\n{}", list()))
}

pub fn list() -> String {
    let width = ALL.iter().map(|template| template.name.len()).max().unwrap_or_default();
    let lines = ALL.iter().map(|template| format!("  {:width$}  {}", template.name, template.says));
    format!("Templates:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

pub fn help() -> String {
    list()
}
