//! The policy packs: those of the program, an operator's before them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use policy::{Files, Packs, PolicyError};

/// Packs that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PacksError {
    /// The folder could not be read.
    #[error("{} cannot be read", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// They are wrong.
    #[error(transparent)]
    Wrong(#[from] PolicyError),
}

/// Reads them. `cooling_off` says where that is longer than they say.
///
/// # Errors
/// [`PacksError`] with everything that is wrong with them.
pub(crate) fn packs(folder: Option<&Path>, cooling_off: &[String]) -> Result<Packs, PacksError> {
    let mut files = Files::built_in();
    if let Some(folder) = folder {
        let failed = |source| PacksError::Folder { path: folder.into(), source };
        files.packs.extend(texts(&folder.join("packs")).map_err(failed)?);
        files.calendars.extend(texts(&folder.join("calendars")).map_err(failed)?);
    }
    Ok(Packs::read(&files)?.with_cooling_off(cooling_off)?)
}

/// The TOML files of a folder, which may be missing.
fn texts(folder: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    if !folder.is_dir() {
        return Ok(texts);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            texts.insert(name, fs::read_to_string(&path)?);
        }
    }
    Ok(texts)
}
