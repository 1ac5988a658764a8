//! A Python of the checkout's own, with the packages that `deploy/dev/python/requirements.txt` pins.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::checkout;
use crate::process::{install, output, remove_dir, require};

/// Which interpreter tests of other languages' clients run.
pub const PYTHON: &str = "EXEUNT_TEST_PYTHON";

/// Makes the environment once per content of the requirements, whose copy, written last, says that it is complete;
/// gives its interpreter.
pub fn interpreter() -> Result<PathBuf> {
    let requirements = checkout::root()?.join("deploy/dev/python/requirements.txt");
    let wanted = fs::read(&requirements).with_context(|| requirements.display().to_string())?;
    let dir = checkout::services()?.join("python");
    let interpreter = dir.join("bin/python");
    let done = dir.join("requirements.txt");
    let current = || fs::read(&done).is_ok_and(|made| made == wanted) && works(&interpreter);
    if current() {
        return Ok(interpreter);
    }
    let _lock = crate::packages::lock("python")?;
    if current() {
        return Ok(interpreter);
    }
    require("python3", "python3")?;
    eprintln!("installing Python's packages");
    remove_dir(&dir)?;
    if make(&dir).is_err() {
        // Debian has a part of the module `venv` in a package of its own.
        install("python3-venv")?;
        remove_dir(&dir)?;
        make(&dir).context("Python's environment could not be made")?;
    }
    let mut pip = Command::new(&interpreter);
    pip.args(["-m", "pip", "install", "--quiet", "--only-binary=:all:", "--no-deps", "--requirement"]);
    output(pip.arg(&requirements)).context("Python's packages could not be installed")?;
    fs::write(&done, wanted)?;
    Ok(interpreter)
}

fn make(dir: &std::path::Path) -> Result<()> {
    output(Command::new("python3").args(["-m", "venv"]).arg(dir)).map(drop)
}

/// An environment is bound to the interpreter that it was made with, which may have gone.
fn works(interpreter: &std::path::Path) -> bool {
    output(Command::new(interpreter).args(["-c", "import confluent_kafka"])).is_ok()
}
