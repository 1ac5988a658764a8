//! Where things stand in the checkout that this command runs for.

use std::env;
use std::process::Command;

use anyhow::Result;
pub use engines::checkout::{root, target};

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
