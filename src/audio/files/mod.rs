//! Sound files: WAV, FLAC, MP3 and Ogg in, WAV and Ogg Opus out.

mod decode;
mod ogg;
mod opus;
mod read;
mod wav;

use std::{fs::File, io, path::Path};

pub(super) use self::ogg::OggOpus;
pub use self::{opus::OpusSink, read::FileSource, wav::WavSink};
use super::{AudioError, AudioSink, Channels};

/// Creates the file of a mix, or empties one that is there: Ogg Opus where its name says so, else WAV.
pub(super) fn create(path: &Path, channels: Channels) -> Result<Box<dyn AudioSink>, AudioError> {
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    match extension.as_ref().and_then(|extension| extension.to_str()) {
        Some("opus" | "ogg") => Ok(Box::new(OpusSink::create(path, channels)?)),
        _ => Ok(Box::new(WavSink::create(path, channels)?)),
    }
}

/// Whether a file could be created, with nothing left behind and nothing emptied.
///
/// # Errors
/// [`AudioError::WriteOutput`] with what is in the way.
pub(super) fn check(path: &Path) -> Result<(), AudioError> {
    // Opening a pipe or a device may do something to whoever is at its other end.
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return Ok(());
    }
    let tried = match File::options().write(true).create_new(true).open(path) {
        Ok(_) => std::fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            File::options().write(true).open(path).map(drop)
        }
        Err(error) => Err(error),
    };
    tried.map_err(|source| AudioError::WriteOutput {
        path: path.to_owned(),
        source,
    })
}
