//! The files of the checkout, and what is read from them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::source::Source;

/// Every Rust file of the checkout, read once.
pub static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let rust = FILES.iter().filter(|(path, _)| path.ends_with(".rs"));
    rust.map(|(path, text)| Source::read(path, text)).collect()
});

/// Every text file of the checkout by its path relative to the root; what is built or is another tool's is left out.
pub static FILES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let mut files = BTreeMap::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // In a work tree beside another, `.git` is a file.
            if matches!(name.as_str(), "target" | ".git" | "node_modules" | "exeunt-data") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                files.insert(relative(&path), text);
            }
        }
    }
    files
});

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).parent().unwrap().to_owned()
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

/// A crate of the workspace, as its manifest describes it.
pub struct Crate {
    pub name: String,
    /// The manifest's path relative to the root.
    pub path: String,
    pub manifest: toml::Table,
}

/// Every crate of the workspace.
pub static CRATES: LazyLock<Vec<Crate>> = LazyLock::new(|| {
    let manifests = FILES.iter().filter(|(path, _)| path.ends_with("/Cargo.toml"));
    let read = |(path, text): (&String, &String)| {
        let manifest: toml::Table = toml::from_str(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let name = manifest["package"]["name"].as_str().unwrap().to_owned();
        Crate { name, path: path.clone(), manifest }
    };
    manifests.map(read).collect()
});

impl Crate {
    /// Whether this is one of the services.
    pub fn is_service(&self) -> bool {
        self.path.starts_with("services/")
    }

    /// Every dependency: its section, its name, and what the manifest says of it.
    pub fn dependencies(&self) -> Vec<(&'static str, &str, &toml::Value)> {
        let targets = self.manifest.get("target").and_then(toml::Value::as_table);
        let targets =
            targets.into_iter().flat_map(|targets| targets.values().filter_map(toml::Value::as_table));
        let tables: Vec<&toml::Table> = std::iter::once(&self.manifest).chain(targets).collect();
        let mut dependencies = Vec::new();
        for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
            for table in tables.iter().filter_map(|table| table.get(section)?.as_table()) {
                dependencies.extend(table.iter().map(|(name, said)| (section, name.as_str(), said)));
            }
        }
        dependencies
    }
}
