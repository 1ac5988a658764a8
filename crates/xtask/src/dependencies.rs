//! `cargo xtask dependencies`: licences and duplicates of what this project is built from, without the network.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use crate::workspace::{cargo, root};
use engines::process::output;

/// What is allowed; relative to the root.
const RULES: &str = "deploy/dev/dependencies.toml";
/// What the services are built for in production; other platforms add crates of their own that need no looking at.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// The data file's content.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    licences: Licences,
    /// Crate → why several versions of it are built.
    duplicates: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Licences {
    /// SPDX ids; an exception is a part of its id (`Apache-2.0 WITH LLVM-exception`).
    allowed: BTreeSet<String>,
}

/// The part of `cargo metadata` that is looked at.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
}

/// Fails with every fault there is, each with what to do about it.
pub fn check() -> Result<()> {
    let rules = fs::read_to_string(root()?.join(RULES)).context(RULES)?;
    let rules: Rules = toml::from_str(&rules).context(RULES)?;
    let mut metadata = cargo()?;
    metadata.args([
        "metadata",
        "--locked",
        "--offline",
        "--format-version",
        "1",
        "--filter-platform",
        PLATFORM,
    ]);
    let metadata: Metadata = serde_json::from_slice(&output(&mut metadata)?)?;
    let mut faults = licence_faults(&metadata.packages, &rules.licences.allowed);
    faults.extend(duplicate_faults(&metadata.packages, &rules.duplicates));
    if !faults.is_empty() {
        bail!("{} dependencies break the rules of {RULES}:\n  {}", faults.len(), faults.join("\n  "));
    }
    Ok(())
}

fn licence_faults(packages: &[Package], allowed: &BTreeSet<String>) -> Vec<String> {
    let fault = |package: &Package| {
        let Some(licence) = package.license.as_deref() else {
            return Some(format!("{} {} names no licence: do without it", package.name, package.version));
        };
        match is_allowed(licence, allowed) {
            Ok(true) => None,
            Ok(false) => Some(format!(
                "{} {} is under `{licence}`: do without it, or add the licence if it is permissive",
                package.name, package.version
            )),
            Err(error) => Some(format!("{} {}: `{licence}`: {error}", package.name, package.version)),
        }
    };
    packages.iter().filter_map(fault).collect()
}

/// Whether some choice that the expression leaves us is made of allowed licences only.
fn is_allowed(licence: &str, allowed: &BTreeSet<String>) -> Result<bool> {
    // Older crates write `MIT/Apache-2.0`, which the lax mode reads as a choice.
    let expression =
        Expression::parse_mode(licence, ParseMode::LAX).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(expression.evaluate(|requirement| allowed.contains(&requirement.to_string())))
}

fn duplicate_faults(packages: &[Package], allowed: &BTreeMap<String, String>) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let unexpected =
        versions.iter().filter(|(name, _)| !allowed.contains_key(**name)).map(|(name, versions)| {
            let versions: Vec<&str> = versions.iter().copied().collect();
            format!(
                "{name} is built in {} versions ({}): make its users agree, or add it with the reason",
                versions.len(),
                versions.join(", ")
            )
        });
    let outdated = allowed.keys().filter(|name| !versions.contains_key(name.as_str()));
    let outdated =
        outdated.map(|name| format!("{name} is built in one version now: remove it from the duplicates"));
    unexpected.chain(outdated).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_licence(licence: &str, expected: bool) {
        let allowed = ["MIT", "Apache-2.0 WITH LLVM-exception", "ISC"].map(str::to_owned).into();
        assert_eq!(is_allowed(licence, &allowed).unwrap(), expected, "{licence}");
    }

    #[test]
    fn a_licence_is_allowed_when_one_choice_is_wholly_allowed() {
        check_licence("MIT", true);
        check_licence("MIT OR GPL-3.0-only", true);
        check_licence("MIT/GPL-3.0-only", true);
        check_licence("MIT AND ISC", true);
        check_licence("(GPL-3.0-only OR MIT) AND ISC", true);
        check_licence("Apache-2.0 WITH LLVM-exception", true);
    }

    #[test]
    fn a_licence_is_refused_when_every_choice_has_a_part_that_is_not_allowed() {
        check_licence("GPL-3.0-only", false);
        check_licence("MIT AND GPL-3.0-only", false);
        check_licence("Apache-2.0", false);
    }

    #[test]
    fn a_second_version_is_named_unless_it_has_a_reason_and_a_reason_without_one_too() {
        let package = |name: &str, version: &str| Package {
            name: name.to_owned(),
            version: version.to_owned(),
            license: None,
        };
        let packages =
            [package("a", "1.0.0"), package("a", "2.0.0"), package("b", "1.0.0"), package("b", "2.0.0")];
        let allowed = ["b", "c"].map(|name| (name.to_owned(), "a reason".to_owned())).into();
        let faults = duplicate_faults(&packages, &allowed);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].starts_with("a is built in 2 versions (1.0.0, 2.0.0)"), "{faults:?}");
        assert!(faults[1].starts_with("c is built in one version"), "{faults:?}");
    }
}
