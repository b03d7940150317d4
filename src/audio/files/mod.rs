//! WAV files in and out.

mod read;
mod write;

pub use read::FileSource;
pub use write::WavSink;
