//! Speech for this module's tests, and how to cut it into frames.

use super::{AudioSource, Channels, FRAME_SAMPLES, FileSource, Fill, to_i16};
use std::path::{Path, PathBuf};

/// The speech files: those of `$MAJLIS_SPEECH` when it is set, else those the project ships. All are mono,
/// 48 kHz, 16 bit after reading.
pub(crate) fn speech_files() -> Vec<(String, Vec<i16>)> {
    let named = std::env::var_os("MAJLIS_SPEECH").filter(|named| !named.is_empty());
    let dir = named.map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/speech"),
        PathBuf::from,
    );
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("speech in {}: {error}", dir.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wav"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no WAV files in {}", dir.display());
    paths
        .into_iter()
        .map(|path| (path.display().to_string(), samples_of(&path)))
        .collect()
}

/// A file's samples at 48 kHz, mono.
fn samples_of(path: &Path) -> Vec<i16> {
    let mut source = FileSource::open(path, Channels::Mono, false).unwrap();
    let mut frame = vec![0.0; FRAME_SAMPLES];
    let mut samples = Vec::new();
    while source.read_frame(Channels::Mono, &mut frame).unwrap() == Fill::Frame {
        samples.extend(frame.iter().map(|&sample| to_i16(sample)));
    }
    samples
}

/// Whole frames of 20 ms as the encoder takes them; a last partial one is filled up with silence.
pub(crate) fn frames(samples: &[i16]) -> impl Iterator<Item = Vec<f32>> + '_ {
    samples.chunks(FRAME_SAMPLES).map(|chunk| {
        let mut frame: Vec<f32> = chunk.iter().map(|&sample| f32::from(sample) / 32_768.0).collect();
        frame.resize(FRAME_SAMPLES, 0.0);
        frame
    })
}
