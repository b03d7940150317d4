//! An Ogg Opus file as an output.

use std::path::Path;

use super::OggOpus;
use crate::audio::{
    AudioError, AudioSink, Channels, FRAME_SAMPLES,
    codec::{self, Encoder, EncoderSettings},
};

/// Bits a second for each channel: speech and music that were Opus before lose nothing that can be heard.
const BITRATE: u32 = 64_000;

/// An Ogg Opus file of a mix, which grows with every frame.
pub struct OpusSink {
    file: OggOpus,
    encoder: Box<dyn Encoder>,
    channels: Channels,
    frames: u64,
    ended: bool,
}

impl OpusSink {
    /// Creates the file, or empties one that is there.
    ///
    /// # Errors
    /// [`AudioError::WriteOutput`] where it cannot be written.
    pub fn create(path: &Path, channels: Channels) -> Result<Self, AudioError> {
        Self::after(path, channels, 0, &[])
    }

    /// As [`OpusSink::create`] with Vorbis comments, for sound that lags `delay` samples behind: players leave them out.
    pub(in crate::audio) fn after(
        path: &Path,
        channels: Channels,
        delay: u16,
        tags: &[(&str, &str)],
    ) -> Result<Self, AudioError> {
        let encoder = codec::encoder(EncoderSettings {
            channels,
            bitrate: BITRATE * channels.count() as u32,
            speech: false,
            expected_loss: 0,
        })?;
        let pre_skip = encoder.delay()?.saturating_add(delay);
        Ok(Self {
            file: OggOpus::create(path, channels, pre_skip, tags)?,
            encoder,
            channels,
            frames: 0,
            ended: false,
        })
    }

    fn encode(&mut self, frame: &[f32]) -> Result<(), AudioError> {
        let encoded = self.encoder.encode(frame)?;
        self.file.push(encoded.payload)
    }
}

impl AudioSink for OpusSink {
    fn write_frame(&mut self, channels: Channels, frame: &[f32]) -> Result<(), AudioError> {
        if channels != self.channels {
            return Err(AudioError::Plugged(
                "the file was created for another number of channels".into(),
            ));
        }
        self.frames += 1;
        self.encode(frame)
    }

    fn finish(&mut self) -> Result<(), AudioError> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        // The encoder's delay has pushed the end of the sound into a frame of its own.
        self.encode(&vec![0.0; self.channels.frame_len()])?;
        self.file.finish(self.frames * FRAME_SAMPLES as u64)
    }
}

impl core::fmt::Debug for OpusSink {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OpusSink")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Drop for OpusSink {
    fn drop(&mut self) {
        // Nobody is left to tell; what can be saved is.
        let _ = self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{AudioSource as _, FileSource, Fill};

    const SECOND: usize = 48_000;

    fn tone(n: usize) -> f32 {
        (n as f32 * 440.0 * core::f32::consts::TAU / SECOND as f32).sin() * 0.5
    }

    fn read_all(path: &Path, channels: Channels) -> Vec<f32> {
        let mut source = FileSource::open(path, channels, false).unwrap();
        let (mut sound, mut frame) = (Vec::new(), vec![0.0; channels.frame_len()]);
        while source.read_frame(channels, &mut frame).unwrap() == Fill::Frame {
            sound.extend_from_slice(&frame);
        }
        sound
    }

    #[test]
    fn a_finished_file_has_the_sound_at_its_time_and_its_length() {
        let dir = tempfile::tempdir().unwrap();
        for channels in [Channels::Mono, Channels::Stereo] {
            let path = dir.path().join("out.opus");
            let sound: Vec<f32> = (0..SECOND)
                .flat_map(|n| std::iter::repeat_n(tone(n), channels.count()))
                .collect();
            let mut sink = OpusSink::create(&path, channels).unwrap();
            for frame in sound.chunks_exact(channels.frame_len()) {
                sink.write_frame(channels, frame).unwrap();
            }
            sink.finish().unwrap();
            let read = read_all(&path, channels);
            assert_eq!(read.len(), sound.len());
            let worst = (channels.frame_len()..sound.len())
                .map(|n| (read[n] - sound[n]).abs())
                .fold(0.0, f32::max);
            assert!(worst < 0.03, "{channels:?}: off by {worst}");
        }
    }

    #[test]
    fn a_file_whose_writer_vanished_plays_but_for_the_last_second() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.ogg");
        let mut sink = OpusSink::create(&path, Channels::Mono).unwrap();
        for written in 1..=170 {
            sink.write_frame(Channels::Mono, &[0.1; 960]).unwrap();
            if written % 60 == 0 {
                let read = read_all(&path, Channels::Mono).len() / 960;
                assert!(read <= written && written - read <= 51, "{read} of {written}");
            }
        }
        // As SIGKILL does: no destructor runs.
        std::mem::forget(sink);
        assert!(read_all(&path, Channels::Mono).len() / 960 >= 149);
    }

    #[test]
    fn the_file_is_as_the_standard_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.opus");
        let mut sink = OpusSink::after(&path, Channels::Mono, 312, &[("TITLE", "مجلس")]).unwrap();
        for _ in 0..75 {
            sink.write_frame(Channels::Mono, &[0.1; 960]).unwrap();
        }
        sink.finish().unwrap();
        // Its reader checks the sum of every page.
        let mut reader = ogg::PacketReader::new(std::fs::File::open(&path).unwrap());
        let head = reader.read_packet_expected().unwrap();
        assert!(head.first_in_stream() && head.last_in_page());
        assert_eq!(head.data[..10], *b"OpusHead\x01\x01");
        let pre_skip = u64::from(u16::from_le_bytes([head.data[10], head.data[11]]));
        assert_eq!(pre_skip, 624);
        let tags = reader.read_packet_expected().unwrap();
        assert!(tags.last_in_page() && tags.absgp_page() == 0);
        let text = String::from_utf8_lossy(&tags.data);
        assert!(
            text.starts_with("OpusTags") && text.ends_with("TITLE=مجلس"),
            "{text}"
        );
        let mut positions = Vec::new();
        let last = loop {
            let packet = reader.read_packet_expected().unwrap();
            if packet.last_in_page() {
                positions.push(packet.absgp_page());
            }
            if packet.last_in_stream() {
                break packet;
            }
        };
        assert_eq!(positions, [50 * 960, 75 * 960 + pre_skip]);
        assert!(last.last_in_page());
        assert!(reader.read_packet().unwrap().is_none());
    }
}
