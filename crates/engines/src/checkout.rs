//! Where things stand in the checkout that this was built from.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// The root of the checkout, absolute.
pub fn root() -> Result<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.join("../..").canonicalize().context("the checkout's root cannot be found")
}

/// The folder of everything built, absolute; `CARGO_TARGET_DIR` moves it.
pub fn target() -> Result<PathBuf> {
    Ok(match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => std::path::absolute(dir)?,
        None => root()?.join("target"),
    })
}

/// The folder that packages, the running services, their logs and their state live under.
pub fn services() -> Result<PathBuf> {
    Ok(target()?.join("services"))
}
