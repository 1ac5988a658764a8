//! Small secret files: made once, whole or not at all, readable by their owner only.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use zeroize::Zeroizing;

/// Largest file read here, in bytes. A key is far smaller.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// Reads the whole file; `None` when there is none.
pub(crate) fn read(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Zeroizing::new(Vec::with_capacity(256));
    file.take(FILE_BYTES_MAX).read_to_end(&mut content)?;
    Ok(Some(content))
}

/// Makes the file with this content, durable when it returns, unless it is there already.
/// True when this call made it. Of several that race exactly one wins and nobody sees half a file.
pub(crate) fn create(path: &Path, content: &[u8]) -> io::Result<bool> {
    let directory = parent(path);
    create_directories(directory)?;
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let temporary =
        directory.join(format!(".{}.{}.new", name.to_string_lossy(), types::fresh_uuid().simple()));
    let linked = write_new(&temporary, content).and_then(|()| match fs::hard_link(&temporary, path) {
        // A link, not a rename: a rename would replace the file of whoever came first.
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    });
    let removed = fs::remove_file(&temporary);
    let made = linked?;
    removed?;
    sync_directory(directory)?;
    Ok(made)
}

/// Reads the file, or makes it with what `make` gives and returns what stands there then.
pub(crate) fn read_or_create<E: From<io::Error>>(
    path: &Path,
    make: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<Zeroizing<Vec<u8>>, E> {
    if let Some(content) = read(path)? {
        return Ok(content);
    }
    create(path, &make()?)?;
    read(path)?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound).into())
}

/// Makes an empty file, unless it is there already. Durable when its directory is synced.
pub(crate) fn mark(path: &Path) -> io::Result<()> {
    create_directories(parent(path))?;
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Removes the file, if there is one. Durable when its directory is synced.
pub(crate) fn unlink(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Removes the file, if there is one, durably.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    unlink(path)?;
    // Also when it is gone already: whoever removed it may have ended before this.
    sync_directory(parent(path))
}

/// Makes the directory and its parents, durably: a file is only as durable as the names above it.
pub(crate) fn create_directories(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(above) = directory.parent().filter(|above| !above.as_os_str().is_empty()) {
        create_directories(above)?;
    }
    match fs::create_dir(directory) {
        Ok(()) => sync_directory(parent(directory)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Waits until what was made and removed in the directory is durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_that_race_one_wins_and_all_read_the_same() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("deep/down/key");
        let contents: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..8_u8)
                .map(|racer| {
                    let path = &path;
                    scope.spawn(move || {
                        read_or_create::<io::Error>(path, || Ok(Zeroizing::new(vec![racer; 64])))
                            .unwrap()
                            .to_vec()
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        assert!(contents.iter().all(|content| *content == contents[0] && content.len() == 64));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file stays");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        assert!(create(&path, b"secret").unwrap());
        assert!(!create(&path, b"other").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().unwrap().as_slice(), b"secret");
    }

    #[test]
    fn removing_what_is_not_there_is_fine() {
        let home = tempfile::tempdir().unwrap();
        remove(&home.path().join("none")).unwrap();
    }
}
