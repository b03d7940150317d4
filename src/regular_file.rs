//! Opens regular files and nothing else: a pipe without a writer would be waited for without end, and a device has none.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

/// Opens a file for reading.
///
/// # Errors
/// That of the system; [`io::ErrorKind::InvalidInput`] for what is no regular file, and for a directory what the system
/// says of it.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() && !metadata.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    File::open(path)
}
