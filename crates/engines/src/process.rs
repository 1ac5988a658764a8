//! Running other programs, saying clearly which of them is missing or failed, and clearing up after them.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Runs a command without standard input to its end; its output goes where ours goes.
pub fn run(command: &mut Command) -> Result<()> {
    let line = line_of(command);
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("`{line}` cannot be run"))?;
    ensure!(status.success(), "`{line}` failed: {status}");
    Ok(())
}

/// Runs a command without standard input to its end and gives its standard output; on failure everything it said
/// is in the error.
pub fn output(command: &mut Command) -> Result<Vec<u8>> {
    let line = line_of(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("`{line}` cannot be run"))?;
    if !output.status.success() {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("`{line}` failed: {}\n{}{}", output.status, out, err);
    }
    Ok(output.stdout)
}

/// Makes sure that a program is on the path. When it is not, and we are root on a Debian, its package is installed;
/// otherwise the error names the program and the package.
pub fn require(program: &str, debian_package: &str) -> Result<()> {
    if on_path(program) {
        return Ok(());
    }
    install(debian_package).with_context(|| format!("`{program}` is missing and could not be installed"))?;
    ensure!(on_path(program), "`{program}` is missing; on Debian it is in the package `{debian_package}`");
    Ok(())
}

/// Installs a package where we are root on a Debian; elsewhere nothing happens.
pub fn install(debian_package: &str) -> Result<()> {
    if rustix::process::geteuid().is_root() && on_path("apt-get") {
        eprintln!("installing {debian_package}");
        let apt = |args: &[&str]| {
            output(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").arg("-qq").args(args))
        };
        apt(&["update"])?;
        apt(&["install", "--yes", "--no-install-recommends", debian_package])?;
    }
    Ok(())
}

/// Deletes a folder with all in it; fine when there is none.
pub fn remove_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| dir.display().to_string())
        }
        _ => Ok(()),
    }
}

fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| is_file(&dir.join(program))))
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}

/// The command as one would type it, for messages.
fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
