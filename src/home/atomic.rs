//! Files that are whole or not there, readable by their owner alone.
//!
//! A file is written beside its place, synced, and renamed over it; then the directory is synced, so that the new
//! name survives a loss of power too.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use super::HomeError;

/// Puts a file in place as a whole. On an error the former file is still there.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), HomeError> {
    write_bytes(path, bytes).map_err(|source| HomeError::Write {
        path: path.to_owned(),
        source,
    })
}

/// The same, with the system's own error.
pub(super) fn write_bytes(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // The home is locked by this process, so nobody else writes the same name.
    let beside = path.with_extension("new");
    write_synced(&beside, bytes)
        .and_then(|()| fs::rename(&beside, path))
        .and_then(|()| sync_parent(path))
        .inspect_err(|_| {
            // A torn neighbour is of no use to anyone.
            let _ = fs::remove_file(&beside);
        })
}

/// Makes a directory and those above it, readable by their owner alone, unless it is there.
pub(super) fn create_dir(path: &Path) -> Result<(), HomeError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| HomeError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Options to create files that only their owner may read.
pub(super) fn owner_only() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "the system has no permission bits"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes a new name in a directory survive a loss of power.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        // Elsewhere a directory cannot be opened to be synced.
        Some(parent) if cfg!(unix) => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = owner_only().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        write(&path, b"old and long").expect("written");
        // What a crash in mid-write leaves behind.
        fs::write(dir.path().join("file.new"), b"torn").expect("written");
        write(&path, b"new").expect("written");
        assert_eq!(fs::read(&path).expect("readable"), b"new");
        assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 1);
    }

    #[test]
    fn a_write_that_fails_leaves_the_former_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        write(&path, b"old").expect("written");
        // A directory in the way of the file beside it: nothing can be written there.
        fs::create_dir(dir.path().join("file.new")).expect("made");
        let error = write(&path, b"new").expect_err("no place to write");
        assert!(matches!(error, HomeError::Write { .. }), "{error}");
        assert_eq!(fs::read(&path).expect("readable"), b"old");
    }
}
