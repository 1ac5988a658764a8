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
    // In our own folder of built things: most of what both are built from is the same.
    let mut build = cargo()?;
    build.args(["build", "--package", "exeunt", "--locked"]).current_dir(&source);
    run_process(build.env("CARGO_TARGET_DIR", target()?)).context("the previous release does not build")?;
    fs::create_dir_all(home.join(commit))?;
    // A name of its own first, so that a copy that was broken off is never taken for the binary.
    let copy = home.join(commit).join("copy");
    fs::copy(target()?.join("debug/exeunt"), &copy)?;
    fs::rename(copy, &binary)?;
    remove_dir(&source)?;
    fs::remove_file(archive)?;
    Ok(binary)
}
