//! Speech for the programs beside it: the files of `$MAJLIS_SPEECH`, a folder of WAV files, or of `assets/speech`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use majlis::audio::{AudioSource, Channels, FRAME_SAMPLES, FileSource, Fill};

/// The most of each file: twelve seconds.
const MOST: usize = 600 * FRAME_SAMPLES;

/// Each file's name and its samples, mono at 48 kHz, whole frames.
pub(crate) fn speech() -> anyhow::Result<Vec<(String, Vec<f32>)>> {
    let named = std::env::var_os("MAJLIS_SPEECH").filter(|named| !named.is_empty());
    let folder = named.map_or_else(|| PathBuf::from("assets/speech"), PathBuf::from);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("speech in {}", folder.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "wav"))
        .collect();
    paths.sort();
    anyhow::ensure!(!paths.is_empty(), "no WAV files in {}", folder.display());
    let named = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    paths
        .iter()
        .map(|path| Ok((named(path), samples(path)?)))
        .collect()
}

fn samples(path: &Path) -> anyhow::Result<Vec<f32>> {
    let mut source = FileSource::open(path, Channels::Mono, false)?;
    let mut samples = Vec::new();
    let mut frame = vec![0.0; FRAME_SAMPLES];
    while samples.len() < MOST && source.read_frame(Channels::Mono, &mut frame)? == Fill::Frame {
        samples.extend_from_slice(&frame);
    }
    Ok(samples)
}
