//! What can go wrong between a file or device and a frame.

use std::io;
use std::path::{Path, PathBuf};

/// Why a source or an output of sound does not work. Each text says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// The user's word for an input or output means nothing. A retry needs another word.
    #[error("{0}")]
    Usage(String),
    /// The input file can't be opened or read: the path or its permissions. A retry helps once they are right.
    #[error("cannot read {}: {source}; check the path given with --input file:PATH", path.display())]
    ReadInput {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The input file holds no sound that can be played: the file's fault. A retry needs another file.
    #[error("{} cannot be played ({reason}); give a WAV, FLAC, MP3, Ogg Opus or Ogg Vorbis file", path.display())]
    NotPlayable {
        /// The file that was asked for.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The output file can't be created or written, for instance because the disk is full. The room goes
    /// on without it; a retry helps once there is room.
    #[error("cannot write {}: {}", path.display(), unwritable(.path, .source))]
    WriteOutput {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A microphone or loudspeaker does not work; the text says why and what to use instead.
    #[error(transparent)]
    Device(#[from] super::device::DeviceError),
    /// The codec refuses its settings: a bug or a room whose settings this version can't meet. A retry does not help.
    #[error("the sound codec refused: {0}")]
    Codec(#[from] super::codec::CodecError),
    /// The system gives no thread. A retry may help later.
    #[error("cannot start a sound thread: {0}")]
    Thread(#[source] io::Error),
    /// A source or sink that was plugged in through the library failed in its own way.
    #[error("{0}")]
    Plugged(String),
}

/// What keeps a file from being written, and what to do about it.
fn unwritable(path: &Path, source: &io::Error) -> String {
    let another = "give another path with --output file:PATH.wav";
    match source.kind() {
        io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path);
            format!(
                "the folder {} does not exist; make it, or {another}",
                folder.display()
            )
        }
        io::ErrorKind::IsADirectory => format!("it is a folder; {another}"),
        io::ErrorKind::StorageFull => format!("{source}; free some space, or {another}"),
        _ => format!("{source}; {another}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_says_what_is_in_the_way() {
        let said = |kind: io::ErrorKind| {
            let (path, source) = (PathBuf::from("/a/b.wav"), kind.into());
            AudioError::WriteOutput { path, source }.to_string()
        };
        assert!(said(io::ErrorKind::NotFound).contains("the folder /a does not exist"));
        assert!(said(io::ErrorKind::IsADirectory).contains("it is a folder"));
        assert!(said(io::ErrorKind::StorageFull).contains("free some space"));
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied] {
            let said = said(kind);
            assert!(!said.contains("space") && said.contains("--output"), "{said}");
        }
    }
}
