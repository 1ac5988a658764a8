//! Copying a cluster's files, also those of a running one.

use std::fs;
use std::io::{ErrorKind, Result as IoResult};
use std::path::Path;

use anyhow::{Context, Result};

use super::programs::Programs;

/// What a copy of a running cluster leaves out: the process's own files, and what is written since or is of others.
const OF_THE_PROCESS: [&str; 2] = ["postmaster.pid", "postmaster.opts"];
const EMPTIED: [&str; 2] = ["pg_wal", "pg_replslot"];

/// Copies a cluster that does not run.
pub(super) fn cluster(programs: &Programs, from: &Path, to: &Path) -> Result<()> {
    folder(programs, from, to, &|_| true).with_context(|| to.display().to_string())
}

/// Copies a running cluster between the start and the end of a backup. Files that go meanwhile are left out: the log
/// written since says so.
pub(super) fn running_cluster(programs: &Programs, from: &Path, to: &Path) -> Result<()> {
    let wanted = |path: &Path| {
        let Ok(path) = path.strip_prefix(from) else { return true };
        let emptied = EMPTIED.iter().any(|folder| path.starts_with(folder) && path != Path::new(folder));
        !emptied && !OF_THE_PROCESS.iter().any(|file| path == Path::new(file))
    };
    folder(programs, from, to, &wanted).with_context(|| to.display().to_string())?;
    let archive = to.join("pg_wal/archive_status");
    fs::create_dir(&archive)?;
    programs.own(&archive)
}

fn folder(programs: &Programs, from: &Path, to: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    programs.own(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if !wanted(&source) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            folder(programs, &source, &target, wanted)?;
        } else if there(fs::copy(&source, &target))?.is_some() {
            programs.own(&target)?;
        }
    }
    Ok(())
}

/// `None` for what is gone.
fn there<T>(outcome: IoResult<T>) -> IoResult<Option<T>> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        outcome => outcome.map(Some),
    }
}
