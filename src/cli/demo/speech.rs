//! The speech of the demo, and what a listener should hear of it.

use std::path::{Path, PathBuf};

use majlis::audio::{
    AudioSource, Channels, FileSource, Fill,
    codec::{self, EncoderSettings},
};

/// A clip with the room in which it is spoken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clip {
    /// The name of the process that speaks it.
    pub(super) host: &'static str,
    /// The room's title.
    pub(super) title: &'static str,
    file: &'static str,
    wav: &'static [u8],
}

/// The two rooms, in voices and languages that nobody confuses.
pub(super) const CLIPS: [Clip; 2] = [
    Clip {
        host: "host",
        title: "A talk in English",
        file: "english.wav",
        wav: include_bytes!("../../../assets/speech/english.wav"),
    },
    Clip {
        host: "other-host",
        title: "مجلس بالعربية",
        file: "arabic.wav",
        wav: include_bytes!("../../../assets/speech/arabic.wav"),
    },
];

impl Clip {
    /// Writes the clip into a directory.
    pub(super) fn write_into(self, directory: &Path) -> anyhow::Result<PathBuf> {
        let path = directory.join(self.file);
        std::fs::write(&path, self.wav)
            .map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))?;
        Ok(path)
    }

    /// The clip, which lies in `directory`, as a fresh encoder and a fresh decoder of the room's codec give it back:
    /// mono at 48 kHz.
    pub(super) fn as_decoded(self, directory: &Path) -> anyhow::Result<Vec<f32>> {
        let mut source = FileSource::open(&directory.join(self.file), Channels::Mono, false)?;
        let mut encoder = codec::encoder(EncoderSettings::speech())?;
        let mut decoder = codec::decoder(Channels::Mono)?;
        let mut frame = vec![0.0; Channels::Mono.frame_len()];
        let mut decoded = Vec::new();
        while source.read_frame(Channels::Mono, &mut frame)? == Fill::Frame {
            let payload = encoder.encode(&frame)?.payload;
            decoder.decode(&payload, &mut frame)?;
            decoded.extend_from_slice(&frame);
        }
        Ok(decoded)
    }
}

/// What a file sounds like, mono at 48 kHz; silence fills its last 20 ms up.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<f32>> {
    let mut source = FileSource::open(path, Channels::Mono, false)?;
    let mut frame = vec![0.0; Channels::Mono.frame_len()];
    let mut sound = Vec::new();
    while source.read_frame(Channels::Mono, &mut frame)? == Fill::Frame {
        sound.extend_from_slice(&frame);
    }
    Ok(sound)
}

#[cfg(test)]
mod tests {
    use super::{super::score, *};

    #[test]
    fn each_clip_matches_itself_and_not_the_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let [one, other] = CLIPS.map(|clip| {
            clip.write_into(dir.path()).expect("written");
            clip.as_decoded(dir.path()).expect("decoded")
        });
        assert!(one.len() > 6 * 48_000, "{}", one.len());
        assert!(score::matching(&one, &one) > 0.999);
        let wrong = score::matching(&one, &other);
        assert!(wrong < 0.7, "{wrong}");
    }
}
