//! Where things stand in the checkout that this command runs for.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

/// The root of the checkout, absolute.
pub fn root() -> Result<PathBuf> {
    let here = env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask …`")?;
    PathBuf::from(here).join("../..").canonicalize().context("the checkout's root cannot be found")
}

/// The folder of everything built, absolute; `CARGO_TARGET_DIR` moves it.
pub fn target() -> Result<PathBuf> {
    Ok(match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => std::path::absolute(dir)?,
        None => root()?.join("target"),
    })
}

/// The folder that the running services, their logs and their state live under.
pub fn services() -> Result<PathBuf> {
    Ok(target()?.join("services"))
}

/// Cargo at the root of the checkout. What the cargo that runs us told us about this package is taken away: build
/// scripts that look at it would be run again, and their crates built again, each time.
pub fn cargo() -> Result<Command> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let about_us = |name: &str| {
        ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(about_us)) {
        command.env_remove(name);
    }
    command.current_dir(root()?);
    Ok(command)
}
