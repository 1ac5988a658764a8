//! `cargo xtask proto`: the lint of the proto files, and their compatibility with what was released.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use anyhow::{Context, Result, ensure};
use clap::Subcommand;

use crate::workspace;
use engines::process::{output, remove_dir, require, run as run_process};

/// The proto files as they were last released, without comments and positions; relative to the root.
const RELEASED: &str = "proto/released.binpb";
/// Where buf's version is pinned; relative to the root.
const PINNED: &str = "deploy/dev/buf";

#[derive(Subcommand)]
pub enum Command {
    /// Lints the proto files and compares them with what was released.
    Check,
    /// Makes the proto files as they stand the ones that later changes must stay compatible with.
    Release,
}

pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Check => check(),
        Command::Release => release(),
    }
}

/// Lints the proto files and compares them with what was released.
pub fn check() -> Result<()> {
    let buf = install()?;
    run_process(command(&buf)?.arg("lint")).context("the proto files break the lint of buf.yaml")?;
    ensure!(
        workspace::root()?.join(RELEASED).exists(),
        "{RELEASED} is missing: run `cargo xtask proto release`, which writes it, and commit it"
    );
    run_process(command(&buf)?.args(["breaking", "--against", RELEASED]))
        .context("the proto files break those who use the released ones")
}

fn release() -> Result<()> {
    let buf = install()?;
    run_process(command(&buf)?.arg("lint")).context("the proto files break the lint of buf.yaml")?;
    run_process(command(&buf)?.args(["build", "--exclude-source-info", "-o", RELEASED]))?;
    eprintln!("wrote {RELEASED}; commit it");
    Ok(())
}

fn command(buf: &Path) -> Result<Process> {
    let mut command = Process::new(buf);
    command.current_dir(workspace::root()?);
    Ok(command)
}

/// Installs the pinned buf once per content of the lock file, whose copy, written last, says that it is complete.
fn install() -> Result<PathBuf> {
    require("node", "nodejs")?;
    let dir = workspace::target()?.join("buf");
    let buf = dir.join("node_modules/.bin/buf");
    let pinned = workspace::root()?.join(PINNED);
    let lock = fs::read(pinned.join("package-lock.json")).context("buf's lock file cannot be read")?;
    let done = dir.join("installed-lock.json");
    if fs::read(&done).is_ok_and(|installed| installed == lock) {
        return Ok(buf);
    }
    require("npm", "npm")?;
    eprintln!("installing buf");
    remove_dir(&dir)?;
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("package-lock.json"), &lock)?;
    fs::copy(pinned.join("package.json"), dir.join("package.json"))?;
    output(Process::new("npm").args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&dir))
        .context("buf could not be installed")?;
    fs::write(&done, lock)?;
    Ok(buf)
}
