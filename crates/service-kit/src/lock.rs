//! One process per data directory.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

/// A data directory that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockedError {
    /// Another process has it.
    #[error("data directory {} is in use by process {pid}: stop that one, or choose another directory", directory.display())]
    Held {
        /// The directory.
        directory: PathBuf,
        /// The process, as it wrote itself down; `unknown` when it did not yet.
        pid: String,
    },
    /// The directory could not be made, or its lock file not be opened.
    #[error("data directory {} cannot be used", directory.display())]
    Io {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The right to use a data directory, for as long as it lives. The system takes it back when the
/// process ends, however it ends.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

impl DataDirLock {
    /// Takes the directory for this process, making it when there is none.
    ///
    /// # Errors
    /// [`LockedError::Held`] when another process has it, [`LockedError::Io`] when it cannot be used.
    pub fn acquire(directory: &Path) -> Result<Self, LockedError> {
        let io_error = |source| LockedError::Io { directory: directory.into(), source };
        fs::create_dir_all(directory).map_err(io_error)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(directory.join("lock"))
            .map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Only for the message; the lock is what counts.
                let _ = file.take(32).read_to_string(&mut pid);
                let pid = Some(pid.trim()).filter(|pid| !pid.is_empty()).unwrap_or("unknown").into();
                return Err(LockedError::Held { directory: directory.into(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(io_error)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_the_directory() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("data");
        let first = DataDirLock::acquire(&directory).unwrap();
        let refused = DataDirLock::acquire(&directory).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        DataDirLock::acquire(&directory).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        let error = DataDirLock::acquire(&file.join("data")).unwrap_err();
        assert!(matches!(error, LockedError::Io { .. }), "{error}");
    }
}
