//! The release before this one, built from the project's own history, for the tests that run both side by side.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use engines::process::{output, remove_dir, run as run_process};

use crate::workspace::{cargo, root, target};

/// Where tests find the binary.
pub const PREVIOUS_BINARY: &str = "EXEUNT_TEST_PREVIOUS_BINARY";

/// Names the commit; relative to the root.
const NAMED_IN: &str = "deploy/dev/previous-release";

/// The binary, which is built when it is not there.
pub fn binary() -> Result<PathBuf> {
    let named = fs::read_to_string(root()?.join(NAMED_IN)).context(NAMED_IN)?;
    let commit = named.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let commit = commit.with_context(|| format!("{NAMED_IN} names no commit"))?;
    let home = target()?.join("previous");
    let binary = home.join(commit).join("exeunt");
    if binary.is_file() {
        return Ok(binary);
    }
    let (source, archive) = (home.join("source"), home.join("source.tar"));
    remove_dir(&source)?;
    fs::create_dir_all(&source)?;
    let mut git = Command::new("git");
    git.args(["archive", "--format", "tar", "--output"]).arg(&archive).arg(commit).current_dir(root()?);
    output(&mut git).with_context(|| {
        format!("commit {commit} is not in this clone: get the whole history, `git fetch --unshallow`")
    })?;
    run_process(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&source))?;
    // In a folder of its own: cargo knows the packages of a workspace by their paths in it and by when their
    // files were written, and would take what was built of this release for what is built of the one before.
    let built = home.join("built");
    let mut build = cargo()?;
    build.args(["build", "--package", "exeunt", "--locked"]).current_dir(&source);
    build.env("CARGO_TARGET_DIR", &built).env("CARGO_PROFILE_DEV_DEBUG", "none");
    run_process(&mut build).context("the previous release does not build")?;
    fs::create_dir_all(home.join(commit))?;
    fs::rename(built.join("debug/exeunt"), &binary)?;
    remove_dir(&built)?;
    remove_dir(&source)?;
    fs::remove_file(archive)?;
    Ok(binary)
}
