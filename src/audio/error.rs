//! What can go wrong between a file or device and a frame.

use std::io;
use std::path::PathBuf;

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
    /// The input file is not a WAV file that can be read: the file's fault. A retry needs another file.
    #[error("{} is not a WAV file that can be played ({reason}); convert it to 16-bit PCM WAV first", path.display())]
    NotWav {
        /// The file that was asked for.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The output file can't be created or written, for instance because the disk is full. The room goes
    /// on without it; a retry helps once there is room.
    #[error("cannot write {}: {source}; free some space or give another path with --output file:PATH.wav", path.display())]
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
