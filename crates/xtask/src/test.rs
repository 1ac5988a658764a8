//! `cargo xtask test`: everything that checks this project, in one go. The first step that fails ends it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::previous::{self, PREVIOUS_BINARY};
use crate::services::{self, Addresses};
use crate::workspace::{cargo, target};
use crate::{dependencies, proto};
use engines::process::{install, require, run as run_process};
use engines::python::{self, PYTHON};

/// Where tests that run the product as a process find it.
const BINARY: &str = "EXEUNT_TEST_BINARY";

/// Runs every step and says how long each took.
pub fn run() -> Result<()> {
    let mut steps = Steps::default();
    let outcome = run_steps(&mut steps);
    eprintln!();
    for (name, took) in &steps.0 {
        eprintln!("{:>9.1} s  {name}", took.as_secs_f64());
    }
    outcome
}

/// Cheap steps first; every check that needs no build stands before the builds.
fn run_steps(steps: &mut Steps) -> Result<()> {
    steps.run("format", || run_process(cargo()?.args(["fmt", "--all", "--check"])))?;
    steps.run("proto", proto::check)?;
    steps.run("headers", headers)?;
    steps.run("clippy", || {
        run_process(cargo()?.args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    steps.run("dependencies", dependencies::check)?;
    let previous = steps.run("previous release", previous::binary)?;
    // Tests of processes need the binary, which `cargo test` builds for its own package only.
    steps.run("build", || run_process(cargo()?.args(["build", "--package", "exeunt", "--locked"])))?;
    let python = steps.run("python", python::interpreter)?;
    let (addresses, started) = steps.run("services up", services::up)?;
    let outcome = steps.run("tests", || tests(&addresses, &python, &previous));
    let ended = if started { steps.run("services down", services::down) } else { Ok(()) };
    outcome.and(ended)
}

/// What the build of Kafka's client looks for, installed where we may do so.
fn headers() -> Result<()> {
    require("pkg-config", "pkg-config")?;
    if run_process(Command::new("pkg-config").args(["--exists", "openssl"])).is_err() {
        install("libssl-dev")?;
    }
    Ok(())
}

fn tests(addresses: &Addresses, python: &Path, previous: &Path) -> Result<()> {
    let mut tests = cargo()?;
    // All that fails is told in one run.
    tests.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    tests.env(BINARY, target()?.join("debug/exeunt"));
    tests.env(PYTHON, python);
    tests.env(PREVIOUS_BINARY, previous);
    addresses.tell(&mut tests);
    run_process(&mut tests)
}

/// The steps that were run, and how long each took.
#[derive(Default)]
struct Steps(Vec<(&'static str, Duration)>);

impl Steps {
    fn run<T>(&mut self, name: &'static str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("==> {name}");
        let start = Instant::now();
        let outcome = step();
        self.0.push((name, start.elapsed()));
        outcome.with_context(|| format!("the step `{name}` failed"))
    }
}
