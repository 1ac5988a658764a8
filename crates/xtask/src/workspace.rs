//! Where things stand in the checkout that this command runs for.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// The root of the checkout, absolute.
pub fn root() -> Result<PathBuf> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask …`")?;
    PathBuf::from(here).join("../..").canonicalize().context("the checkout's root cannot be found")
}

/// The folder of everything built, absolute; `CARGO_TARGET_DIR` moves it.
pub fn target() -> Result<PathBuf> {
    Ok(match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => std::path::absolute(dir)?,
        None => root()?.join("target"),
    })
}

/// The folder that the running services, their logs and their state live under.
pub fn services() -> Result<PathBuf> {
    Ok(target()?.join("services"))
}
